"""Data sets that feed the steps of a run: files to columns of numbers, columns to batches.

A run of a graph without a `data` section imports `rows` alone; DuckDB is for Parquet files and large CSV files only.
"""

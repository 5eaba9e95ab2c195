"""Data sets that feed the steps of a run: files to columns of numbers, columns to batches.

Nothing here is imported by a run of a graph without a `data` section; DuckDB only by Parquet files and large CSV files.
"""

from graphrun.data.dataset import DataSet
from graphrun.data.memory import MemoryDataSet
from graphrun.data.opening import BUDGET, column_names, open_data
from graphrun.data.problems import DataError
from graphrun.data.streamed import StreamedDataSet

__all__ = ["BUDGET", "DataError", "DataSet", "MemoryDataSet", "StreamedDataSet", "column_names", "open_data"]

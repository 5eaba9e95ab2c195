"""What every other room may use: errors, words, numbers as text, random words, memory."""

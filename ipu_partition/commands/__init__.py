"""The commands of `ipu-partition`, a module each: `run(arguments)` returns the exit code."""

"""One command for a CUDA device: right, fast, good, certified, and a question. COMMANDS.md says how."""

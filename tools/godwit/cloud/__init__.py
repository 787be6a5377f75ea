"""The operator's side: `godwit cloud ...`, the same commands against nRF Cloud and the twin (README.md here)."""

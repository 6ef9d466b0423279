"""What trajvae needs of the computer: memory, threads, refusals of the operating system, and reports of progress."""

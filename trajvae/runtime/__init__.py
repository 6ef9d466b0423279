"""Running on a computer: amounts of memory, threads, errors of the operating system, and reports of progress."""

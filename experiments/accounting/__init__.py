"""Where the slot time of a sweep went: sessions of the driver, what runs account for, and what is left as idle."""

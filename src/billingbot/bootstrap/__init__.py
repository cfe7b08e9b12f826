"""Bootstrap: the only place where settings are read and objects are built."""

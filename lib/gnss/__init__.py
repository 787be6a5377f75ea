"""GNSS helpers without I/O: assistance data (agnss) now; NMEA, predictions and UBX belong to a later issue."""

"""GNSS helpers: assistance data (agnss, walk), predicted ephemerides (pgps, offline), these on flash (download,
predictions). Only the last two do I/O. NMEA and UBX belong to a later issue."""

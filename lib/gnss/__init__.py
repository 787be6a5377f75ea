"""GNSS helpers: assistance data (agnss), predicted ephemerides (pgps), these on flash (predictions). The first two
do no I/O. NMEA and UBX belong to a later issue."""

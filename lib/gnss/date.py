"""Calendar by integers, the same on every port's epoch: fields to Unix time and back (Gregorian, UTC). Pure."""

from micropython import const

_EPOCH_DAY = const(719468)  # days from 0000-03-01 to 1970-01-01
_ERA = const(146097)  # days of 400 years
_FIRST_YEAR = const(2024)  # a date before: a receiver that lost count of its weeks, which repeat after 19.6 years


def unix_time(year, month, day, hour, minute, second):
    """-> Unix time in s; a leap second (60) counts as the one after it."""
    if month < 3:
        year -= 1
        month += 12
    days = 365 * year + year // 4 - year // 100 + year // 400 + (153 * (month - 3) + 2) // 5 + day - 1 - _EPOCH_DAY
    return ((days * 24 + hour) * 60 + minute) * 60 + second


def received(year, month, day, hour, minute, second):
    """-> Unix time in s of what a receiver says, or None: no such date, or one that is long over."""
    if year < _FIRST_YEAR or not (1 <= month <= 12 and 1 <= day <= 31 and hour < 24 and minute < 60 and second < 61):
        return None
    return unix_time(year, month, day, hour, minute, second)


def fields(unix_s):
    """-> (year, month, day, hour, minute, second) of a Unix time."""
    days, second = divmod(unix_s, 86400)
    era, day = divmod(days + _EPOCH_DAY, _ERA)
    year = (day - day // 1460 + day // 36524 - day // 146096) // 365
    day -= 365 * year + year // 4 - year // 100
    month = (5 * day + 2) // 153  # 0 is March
    day -= (153 * month + 2) // 5 - 1
    year += 400 * era + (month > 9)
    month += 3 if month < 10 else -9
    return year, month, day, second // 3600, second // 60 % 60, second % 60

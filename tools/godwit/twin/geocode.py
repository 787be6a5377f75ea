"""Addresses for coordinates: the regions of location.py by name (facts 14.2, location/geo).

Country and state are what the service promises; the city is that of the region's centre. Pure.
Called by rest_location.py.
"""

from . import location

_REACH_M = 600_000  # farther from every centre there is no address
# mobile country code: (country, its code, state or province, its code, city)
_REGIONS = {
    204: ("Netherlands", "NL", "North Holland", "NH", "Amsterdam"),
    208: ("France", "FR", "Ile-de-France", "IDF", "Paris"),
    214: ("Spain", "ES", "Community of Madrid", "MD", "Madrid"),
    222: ("Italy", "IT", "Lombardy", "LOM", "Milan"),
    228: ("Switzerland", "CH", "Zurich", "ZH", "Zurich"),
    232: ("Austria", "AT", "Vienna", "W", "Vienna"),
    234: ("United Kingdom", "GB", "England", "ENG", "London"),
    238: ("Denmark", "DK", "Capital Region", "84", "Copenhagen"),
    240: ("Sweden", "SE", "Stockholm County", "AB", "Stockholm"),
    242: ("Norway", "NO", "Trondelag", "50", "Trondheim"),
    244: ("Finland", "FI", "Uusimaa", "18", "Helsinki"),
    260: ("Poland", "PL", "Masovian Voivodeship", "14", "Warsaw"),
    262: ("Germany", "DE", "Berlin", "BE", "Berlin"),
    272: ("Ireland", "IE", "Leinster", "L", "Dublin"),
    302: ("Canada", "CA", "Quebec", "QC", "Montreal"),
    310: ("United States of America", "US", "Oregon", "OR", "Portland"),
    440: ("Japan", "JP", "Tokyo", "13", "Tokyo"),
    505: ("Australia", "AU", "New South Wales", "NSW", "Sydney"),
    530: ("New Zealand", "NZ", "Wellington Region", "WGN", "Wellington"),
}


def address(lat, lon):
    """The REST answer for a place in degrees, None far from everywhere; `uncertainty` is the distance in m."""
    code, centre, away_m = location.nearest_region(lat, lon)
    if away_m > _REACH_M:
        return None
    country, country_code, state, state_code, city = _REGIONS[code]
    return {
        "lat": centre[0],
        "lon": centre[1],
        "uncertainty": round(away_m),
        "formatted": f"{city}, {state}, {country}",
        "address": {
            "country": country,
            "countryCode": country_code,
            "state": state,
            "stateCode": state_code,
            "city": city,
        },
    }

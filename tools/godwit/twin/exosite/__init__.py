"""An emulated Exosite One Platform: its CoAP API as far as firmware updates need it. See README.md beside this file."""

"""Chromium without a window, driven by its driver."""
import json
import os
import shutil

from selenium import webdriver
from selenium.webdriver.chrome.options import Options
from selenium.webdriver.chrome.service import Service


class Browser:
    """A browser that records its console and its requests."""

    def __init__(self, width=1400, height=1000, scheme="light", script=True):
        options = Options()
        for argument in ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--hide-scrollbars",
                         "--disable-component-update", "--disable-background-networking", "--no-first-run",
                         f"--window-size={width},{height}"):
            options.add_argument(argument)
        options.binary_location = os.environ.get("CHROMIUM") or shutil.which("chromium")
        options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
        if not script:
            options.add_experimental_option("prefs", {"profile.managed_default_content_settings.javascript": 2})
        self.driver = webdriver.Chrome(options=options, service=Service(shutil.which("chromedriver")))
        self.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride",
                                    {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600})
        self.driver.execute_cdp_cmd("Emulation.setEmulatedMedia",
                                    {"features": [{"name": "prefers-color-scheme", "value": scheme}]})
        self.base = None

    def open(self, url):
        self.driver.get(url)

    def problems(self, base):
        """Console messages, and requests that left the server, since the last call."""
        found = []
        for entry in self.driver.get_log("browser"):
            if entry["level"] in ("SEVERE", "WARNING"):
                found.append(f"console: {entry['message']}")
        for entry in self.driver.get_log("performance"):
            message = json.loads(entry["message"])["message"]
            if message["method"] == "Network.requestWillBeSent":
                url = message["params"]["request"]["url"]
                if not url.startswith((base + "/", "data:", "chrome://", "about:")):
                    found.append(f"request: {url}")
        return found

    def width(self):
        """How wide the page is, and how wide the window."""
        return self.driver.execute_cdp_cmd("Runtime.evaluate", {
            "expression": "[document.documentElement.scrollWidth, innerWidth]", "returnByValue": True})["result"]["value"]

    def screenshot(self, path, height=None):
        import base64
        size = self.driver.execute_cdp_cmd("Page.getLayoutMetrics", {})["cssContentSize"]
        shot = self.driver.execute_cdp_cmd("Page.captureScreenshot", {
            "format": "png", "captureBeyondViewport": True,
            "clip": {"x": 0, "y": 0, "width": size["width"], "height": min(size["height"], height or 4000), "scale": 1}})
        with open(path, "wb") as file:
            file.write(base64.b64decode(shot["data"]))

    def close(self):
        self.driver.quit()

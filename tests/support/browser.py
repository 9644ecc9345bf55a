"""Headless Chromium, as tests look at pages in it."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from selenium import webdriver
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.ui import WebDriverWait

from waiting import HANG_SECONDS

KEY = "correct-horse-battery"
"""The key of a server that has one."""

ARGUMENTS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync",
    "--disable-background-networking", "--disable-component-update", "--window-size=1200,1000",
)  # fmt: skip
CONTROL_ENTER = Keys.CONTROL + Keys.ENTER
# Texts of less than 4.5 to 1 against what is behind them (https://www.w3.org/TR/WCAG22/#contrast-minimum).
CONTRAST = """
const numbers = (colour) => colour.match(/[\\d.]+/g).map(Number);
const light = (colour) => numbers(colour).slice(0, 3).map(c => c / 255)
  .map(c => c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4)
  .reduce((sum, c, i) => sum + c * [0.2126, 0.7152, 0.0722][i], 0);
const behind = (e) => {
  for (; e; e = e.parentElement) {
    const colour = getComputedStyle(e).backgroundColor;
    if (numbers(colour)[3] !== 0) return colour;
  }
  return 'rgb(255, 255, 255)';
};
const ratio = (e) => {
  const [a, b] = [light(getComputedStyle(e).color), light(behind(e))].sort((x, y) => y - x);
  return (a + 0.05) / (b + 0.05);
};
return [...document.querySelectorAll('body *')]
  .filter(e => e.innerText?.trim() && !e.children.length && e.offsetParent && ratio(e) < 4.5)
  .map(e => `${e.outerHTML.slice(0, 80)} ${ratio(e).toFixed(1)}`);
"""


class Browser:
    """Chromium, as the tests look at it."""

    def __init__(self, profile: Path) -> None:
        options = webdriver.ChromeOptions()
        options.binary_location = str(shutil.which("chromium"))
        for argument in (*ARGUMENTS, f"--user-data-dir={profile}"):
            options.add_argument(argument)
        options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
        # With both programs named, selenium looks for no others, nor fetches any.
        self._driver = webdriver.Chrome(options, webdriver.ChromeService(shutil.which("chromedriver")))

    def open(self, url: str) -> None:
        self._driver.get(url)

    def quit(self) -> None:
        self._driver.quit()

    def type(self, selector: str, *keys: str) -> None:
        self._driver.find_element(By.CSS_SELECTOR, selector).send_keys(*keys)

    def click(self, selector: str) -> None:
        self._driver.find_element(By.CSS_SELECTOR, selector).click()

    def run(self, script: str) -> Any:
        return self._driver.execute_script(script)

    def texts(self, selector: str) -> list[str]:
        found: list[str] = self.run(
            f"return [...document.querySelectorAll({json.dumps(selector)})].map(e => e.innerText)"
        )
        return found

    def emulate(self, width: int, scheme: str) -> None:
        screen = {"width": width, "height": 800, "deviceScaleFactor": 1, "mobile": True}
        media = {"features": [{"name": "prefers-color-scheme", "value": scheme}]}
        for command, values in (("DeviceMetricsOverride", screen), ("EmulatedMedia", media)):
            self._driver.execute_cdp_cmd(f"Emulation.set{command}", values)

    def complaints(self) -> list[str]:
        return [entry["message"] for entry in self._driver.get_log("browser")]  # type: ignore[no-untyped-call]

    def until(self, condition: Callable[[], object]) -> None:
        WebDriverWait(self._driver, timeout=HANG_SECONDS, poll_frequency=0.05).until(lambda _: condition())

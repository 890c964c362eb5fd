#!/usr/bin/env python3
"""The pages in a real browser: browser_test.py BINARY

Clicks from the images to the text of a file and compares with the command line; opens every view at 400 and 1400
pixels, light and dark, with and without the script; checks the rules of axe-core; asserts that nothing is written to
the console, that no request leaves the server, and that no hostile name is executed.
"""
import json
import sys
from pathlib import Path

import axe_core_python
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys

from browser import Browser
from server import Site

AXE = (Path(axe_core_python.__file__).parent / "axe.min.js").read_text()
VIEWS = ["/", "/images/compute", "/images/compute/2", "/images/compute/4/files", "/images/compute/4/files/hostile",
         "/images/compute/4/files/etc/motd", "/images/compute/4/files/etc/motd?blame=1",
         "/images/compute/4/files/usr/lib/openssl/main.bin", "/images/compute/diff/1..4", "/images/compute/diff/1..2?directory=hostile",
         "/images/compute/diff/1..2/etc/ssh/sshd_config", "/space", "/health", "/images/none"]
failures = []


def expect(condition, message):
    if not condition:
        failures.append(message)
        print("FAILED", message, flush=True)


def clean(browser, site, where):
    # A page that does not exist is an error of the network in the console.
    for problem in browser.problems(site.url):
        expect("404" in problem and "/images/none" in problem, f"{where}: {problem}")
    expect("owned" not in browser.driver.title and browser.driver.title != "1", f"{where}: a name was executed")


def click_through(site):
    """Images → timeline → differences → one file → its text."""
    browser = Browser()
    driver = browser.driver
    browser.open(site.url + "/")
    names = [row.text for row in driver.find_elements(By.CSS_SELECTOR, "tbody tr td:first-child a")]
    expected = [image["name"] for image in json.loads(site.run("images", "--json"))["images"]]
    expect(names == expected, f"images: {names}, not {expected}")
    driver.find_element(By.LINK_TEXT, "compute").click()

    numbers = [cell.text for cell in driver.find_elements(By.CSS_SELECTOR, "tbody tr td:first-child")]
    log = json.loads(site.run("log", "compute", "--json"))["snapshots"]
    expect(numbers == [f"@{snapshot['number']}" for snapshot in log], f"snapshots: {numbers}")
    driver.find_element(By.LINK_TEXT, "@1 → @2").click()

    rows = [[cell.text for cell in row.find_elements(By.TAG_NAME, "td")]
            for row in driver.find_elements(By.CSS_SELECTOR, "[aria-label='Changed packages'] tbody tr")]
    diff = json.loads(site.run("diff", "compute@1", "compute@2", "--packages", "--json"))
    changes = [[change["name"], change.get("old", ""), change.get("new", "")] for change in diff["packages"][0]["changes"]]
    expect([row[1:] for row in rows] == changes, f"packages: {rows}, not {changes}")
    driver.find_element(By.LINK_TEXT, "etc/ssh/sshd_config").click()

    shown = [cell.text for cell in driver.find_elements(By.CSS_SELECTOR, ".diff td")]
    text = site.run("diff", "compute@1", "compute@2", "-u", "etc/ssh/sshd_config").split("\n")[2:-1]
    expect(shown == [line.strip() if not line.strip() else line for line in text] or
           [line.strip() for line in shown] == [line.strip() for line in text], f"lines: {shown}, not {text}")
    driver.find_element(By.LINK_TEXT, "File in @2").click()

    lines = [cell.text for cell in driver.find_elements(By.CSS_SELECTOR, ".code td:last-child")]
    content = site.run("cat", "compute@2:etc/ssh/sshd_config").split("\n")[:-1]
    expect(lines == content, f"content: {lines}, not {content}")
    driver.find_element(By.LINK_TEXT, "Origin of each line").click()
    origins = [cell.text.split(" ")[0] for cell in driver.find_elements(By.CSS_SELECTOR, ".code td.from")]
    expect(origins == ["@1", "@2", "@1"], f"origins: {origins}")
    sha = driver.find_element(By.CSS_SELECTOR, ".terms code.id").text
    entry = json.loads(site.run("show", "compute@2:etc/ssh/sshd_config", "--json"))
    expect(sha == entry["sha256"], "the digest of the file differs")
    clean(browser, site, "click-through")

    browser.open(site.url + "/images/compute/2")
    buttons = driver.find_elements(By.CSS_SELECTOR, "button.copy")
    expect(len(buttons) >= 3, "no buttons to copy commands")
    browser.open(site.url + "/")
    driver.find_element(By.TAG_NAME, "body").send_keys(Keys.TAB)
    expect(driver.switch_to.active_element.text == "Skip to the content", "the first stop of the keyboard is no skip link")
    driver.switch_to.active_element.send_keys(Keys.ENTER)
    expect(driver.switch_to.active_element.tag_name == "main", "the skip link does not lead to the content")
    clean(browser, site, "keyboard")
    browser.close()


def violations(browser):
    """What axe-core finds on the page. The policy of pages forbids foreign scripts; the debugger may run one."""
    result = browser.driver.execute_cdp_cmd("Runtime.evaluate", {
        "expression": AXE + ";axe.run(document, {resultTypes: ['violations']}).then(r => JSON.stringify(r.violations.map(v => "
                      "[v.id, v.impact, v.nodes.slice(0, 3).map(n => n.html + ' ' + (n.any[0] ? n.any[0].message : ''))])))",
        "awaitPromise": True, "returnByValue": True})
    return json.loads(result["result"].get("value") or '[["axe-core did not run", "", []]]')


def check_the_checker():
    """A bad page must have findings, or the rules check nothing."""
    browser = Browser()
    browser.open("data:text/html,<title>x</title><p style='color:%23ccc'>pale</p><img src=x><select></select>")
    rules = {rule for rule, _, _ in violations(browser)}
    expect({"image-alt", "color-contrast", "select-name", "html-has-lang"} <= rules, f"axe-core found only {rules}")
    browser.close()


def every_view(site):
    for width, scheme, script in ((1400, "light", True), (1400, "dark", True), (400, "light", True), (400, "dark", False)):
        browser = Browser(width, 900, scheme, script)
        for view in VIEWS:
            where = f"{view} at {width}, {scheme}{'' if script else ', without script'}"
            browser.open(site.url + view)
            page, window = browser.width()
            expect(page <= window, f"{where}: the page is {page} wide")
            expect(browser.driver.find_elements(By.TAG_NAME, "h1"), f"{where}: no heading")
            clean(browser, site, where)
            if script:
                for rule, impact, nodes in violations(browser):
                    expect(False, f"{where}: {rule} ({impact}): {nodes}")
            else:
                expect(not browser.driver.find_elements(By.CSS_SELECTOR, "button.copy"), f"{where}: the script ran")
        browser.close()


def check_fields(site):
    """Each field occurs once, and types are not guessed."""
    import urllib.request
    for view in ("/", "/images/compute/4/raw/etc/motd", "/api/v1/images"):
        with urllib.request.urlopen(site.url + view) as answer:
            for name, value in (("X-Content-Type-Options", "nosniff"), ("Referrer-Policy", "no-referrer")):
                expect(answer.headers.get_all(name) == [value], f"{view}: {name} is {answer.headers.get_all(name)}")
            expect(len(answer.headers.get_all("Content-Security-Policy")) == 1, f"{view}: no policy, or several")


def main():
    check_the_checker()
    with Site(sys.argv[1]) as site:
        click_through(site)
        check_fields(site)
        every_view(site)
    if failures:
        sys.exit(f"{len(failures)} failures")
    print(f"browser: {len(VIEWS)} views at 400 and 1400 pixels, light and dark, with and without the script: no failure")


main()

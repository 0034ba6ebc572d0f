"""A person at the labelling page: reads, answers by key. For the page's tests."""

from tests.support.client.chrome import Browser
from tests.support.client.site import Site

READY = "document.querySelector('#answers')?.dataset.ready === 'true'"
UID = "document.querySelector('#stage').dataset.uid"
KEPT = "document.body.dataset.waiting === '0'"
# The page takes no answer before a person can have seen the sample.
STEADY = "new Promise((done) => setTimeout(done, 150))"


class Person:
    """Somebody with a browser of their own.

    Parameters
    ----------
    browser
        Shared; the context is theirs alone.
    site
        Whose page they open, with its one-time link.
    """

    def __init__(self, browser: Browser, site: Site, *, enter: bool = True) -> None:
        self.browser = browser
        self.site = site
        self._seen = ""
        self.context = browser.context()
        self.tab = browser.tab(self.context)
        self.tab.screen(1280, 800)
        if enter:
            self.tab.go(site.link)
            self.ready()

    def sign_in(self, name: str, password: str) -> None:
        self.tab.go(self.site.address)
        self.tab.wait("document.activeElement?.id === 'name'")
        self.tab.write(name)
        self.tab.run("document.querySelector('#password').focus()")
        self.tab.write(password)
        self.tab.press("Enter")
        self.ready()

    def ready(self) -> str:
        """Wait for a sample; return its uid."""
        self.tab.wait(READY)
        uid = self.tab.run(UID)
        if uid != self._seen:
            self.tab.run(STEADY)
            self._seen = uid
        return str(uid)

    def text(self) -> str:
        return str(self.tab.run("document.querySelector('.words p').textContent"))

    def answer(self, key: str) -> str:
        """Answer what is on the screen; return its uid as soon as it is gone."""
        uid = self.ready()
        self.tab.press(key)
        self.tab.wait(f"{UID} !== '{uid}'")
        self._seen = ""
        return uid

    def kept(self) -> None:
        """Wait until the device has all answers."""
        self.tab.wait(KEPT)

    def check(self) -> None:
        """Assert that the page asked nobody else for anything, and had no complaint."""
        own = (self.site.address + "/", f"blob:{self.site.address}/", "about:blank")
        assert [url for url in self.tab.urls if not url.startswith(own)] == []
        assert self.tab.complaints == []

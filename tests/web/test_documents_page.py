"""The Documents page in a real browser: putting documents in, what was refused and why, versions, taking one out."""

from pathlib import Path

import pytest
from playwright.sync_api import Page, Route, expect
from sqlalchemy import func, select

from rag.store import tables
from tests.web.accessibility import SCHEMES, check_page
from tests.web.conftest import OpenPage, Site

pytestmark = pytest.mark.slow

MARKUP = "<img src=x onerror=alert(1)>"
LEAVE = "# Leave\n\nStaff have 28 days of leave a year.\n"
DAMAGED = Path(__file__).parents[2] / "examples/handbook/archive/damaged-scan.pdf"


def choose(page: Page, *files: tuple[str, str | bytes]) -> None:
    """Choose files, by name and content, in the file picker."""
    expect(page.get_by_text("Put documents in")).to_be_visible()  # the page takes files from then on
    page.get_by_label("Choose files").set_input_files(
        [
            {
                "name": name,
                "mimeType": "application/octet-stream",
                "buffer": content if isinstance(content, bytes) else content.encode(),
            }
            for name, content in files
        ]
    )


def test_files_are_uploaded_with_their_progress_and_refused_with_their_reason(site: Site, page: Page) -> None:
    name = site.new_collection()
    page.goto("/documents")
    page.get_by_label("Into the collection").fill(name)
    page.get_by_label("They are").select_option("synthetic: made up or by a machine")
    page.evaluate("""() => {
      window.statesSeen = new Set();
      new MutationObserver(() => {
        for (const state of document.querySelectorAll("#uploads .quiet")) window.statesSeen.add(state.textContent);
      }).observe(document.getElementById("uploads"), { subtree: true, childList: true, characterData: true });
    }""")
    choose(page, ("leave.md", LEAVE), ("scan.pdf", DAMAGED.read_bytes()))
    expect(page.get_by_text("2 files sent.")).to_be_visible()
    uploads = page.locator("#uploads > li")
    expect(uploads.filter(has_text="leave.md")).to_contain_text("1 document: Leave")
    refused = uploads.filter(has_text="scan.pdf")
    expect(refused).to_contain_text("refused")
    expect(refused).to_contain_text("scan.pdf is damaged")
    seen = page.evaluate("[...window.statesSeen]")
    assert "being read" in seen
    assert "waiting" in seen
    expect(page.get_by_label("Collection", exact=True)).to_have_value(name)
    listed = page.locator("#list > li")
    expect(listed).to_have_count(1)
    expect(listed).to_contain_text("synthetic")
    with site.service.database.read() as session:
        assert session.scalar(select(func.count()).where(tables.Document.title == "Leave")) == 1
    page.get_by_role("link", name="Uploads and runs").click()
    run = page.locator("#runs > li").filter(has_text="scan.pdf")
    run.get_by_text("What was refused, and why (1)").click()
    expect(run.get_by_text("is damaged")).to_be_visible()


def test_large_upload_is_followed_until_its_run_has_ended(site: Site, page: Page) -> None:
    name = site.new_collection()
    filler = "<!--" + "x" * site.service.settings.background_upload_bytes + "-->"  # large, and soon read
    rules = f"<title>Rules</title>{filler}<p>The door of each room is kept shut at night.</p>"
    page.goto("/documents")
    page.get_by_label("Into the collection").fill(name)
    with page.expect_response("**/v1/documents") as sent:
        choose(page, ("rules.html", rules))
    assert sent.value.status == 202
    expect(page.locator("#uploads > li")).to_contain_text("finished: 1 added")
    expect(page.locator("#list > li")).to_contain_text("Rules")


def test_upload_whose_reply_was_lost_is_sent_again_and_done_once(site: Site, page: Page) -> None:
    name = site.new_collection()
    page.goto("/documents")
    page.get_by_label("Into the collection").fill(name)
    page.get_by_label("Tags", exact=True).fill("team=ops, year=2024")
    keys = []

    def lose_the_first(route: Route) -> None:
        keys.append(route.request.headers["idempotency-key"])
        if len(keys) == 1:
            route.fetch()  # it is worked on, and the reply never comes back
            route.abort("connectionreset")
        else:
            route.continue_()

    page.route("**/v1/documents", lose_the_first)
    choose(page, ("leave.md", LEAVE))
    expect(page.locator("#uploads > li")).to_contain_text("1 document: Leave")
    assert len(keys) == 2
    assert keys[0] == keys[1]
    expect(page.locator("#list > li")).to_have_count(1)
    page.get_by_role("button", name="Details of Leave").click()
    about = page.get_by_role("dialog")
    expect(about).to_contain_text("team: ops · year: 2024")
    expect(about.get_by_role("link", name="Version")).to_have_count(1)


def test_files_that_are_dropped_are_uploaded(site: Site, page: Page) -> None:
    name = site.new_collection()
    page.goto("/documents")
    page.get_by_label("Into the collection").fill(name)
    transfer = page.evaluate_handle(
        """(words) => {
      const transfer = new DataTransfer();
      transfer.items.add(new File([words], "dropped.md"));
      return transfer;
    }""",
        LEAVE,
    )
    page.locator("#drop").dispatch_event("dragover", {"dataTransfer": transfer})
    expect(page.locator("#drop.over")).to_be_visible()
    page.locator("#drop").dispatch_event("drop", {"dataTransfer": transfer})
    expect(page.locator("#list > li")).to_contain_text("Leave")
    expect(page.locator("#drop.over")).to_have_count(0)


def test_document_shows_its_versions_and_is_deleted_after_asking(site: Site, page: Page) -> None:
    name = site.new_collection()
    site.upload("leave.md", LEAVE, collection=name)
    document = site.upload("leave.md", LEAVE.replace("28", "30"), collection=name, tags="team=ops")
    site.upload("again.md", LEAVE.replace("28", "30"), collection=name)
    page.goto(f"/documents?collection={name}")
    listed = page.locator("#list > li")
    expect(listed).to_have_count(2)
    expect(listed.first).to_contain_text(f"the same words as document {document}")
    page.get_by_label("Repeating another").select_option("exactly")
    expect(listed).to_have_count(1)
    page.get_by_label("Repeating another").select_option("either way")
    page.get_by_label("Title or source").fill("upload:leave")
    page.keyboard.press("Enter")
    expect(listed).to_have_count(1)
    page.get_by_role("button", name="Details of Leave").click()
    about = page.get_by_role("dialog", name="Leave")
    expect(about).to_contain_text("team: ops")
    expect(about.locator(".versions li")).to_have_count(2)
    expect(about.get_by_role("link", name="Version 1")).to_have_attribute("href", f"/documents/{document}?version=1")
    page.keyboard.press("Escape")

    page.get_by_role("button", name="Delete Leave").click()
    confirm = page.get_by_role("dialog", name="Delete “Leave”?")
    confirm.get_by_role("button", name="Keep it").click()
    expect(confirm).to_be_hidden()
    assert site.rest.get(f"/v1/documents/{document}").json()["deleted_at"] is None
    page.get_by_role("button", name="Delete Leave").click()
    confirm.get_by_role("button", name="Delete it").click()
    expect(page.get_by_text("“Leave” is deleted.")).to_be_visible()
    expect(listed).to_have_count(0)
    assert site.rest.get(f"/v1/documents/{document}").json()["deleted_at"] is not None
    page.get_by_label("Deleted ones").select_option("shown too")
    expect(listed).to_contain_text("deleted")


def test_markup_in_titles_and_names_is_shown_and_never_runs(site: Site, page: Page) -> None:
    name = site.new_collection()
    site.upload(f"{MARKUP}.md".replace("/", ""), f"# {MARKUP}\n\nWords.\n", collection=name)
    page.goto(f"/documents?collection={name}")
    expect(page.locator("#list > li .title")).to_have_text(MARKUP)
    page.get_by_role("button", name="Details of").click()
    expect(page.get_by_role("heading", name=MARKUP)).to_be_visible()
    page.keyboard.press("Escape")
    page.get_by_role("button", name="Delete <").click()
    expect(page.get_by_role("heading", name=f"Delete “{MARKUP}”?")).to_be_visible()
    assert page.locator("main img").count() == 0


def test_reader_sees_documents_and_can_neither_put_them_in_nor_take_them_out(site: Site, page: Page) -> None:
    name = site.new_collection()
    site.upload("leave.md", LEAVE, collection=name)
    page.goto(f"/sign-in?next=/documents?collection={name}")
    page.get_by_label("API key").fill(site.new_key("reader"))
    page.get_by_role("button", name="Sign in").click()
    expect(page.locator("#list > li")).to_have_count(1)
    expect(page.get_by_label("Choose files")).to_be_hidden()
    expect(page.get_by_role("button", name="Delete Leave")).to_have_count(0)
    expect(page.get_by_role("link", name="Uploads and runs")).to_be_hidden()


@pytest.mark.parametrize("scheme", SCHEMES)
def test_views_can_be_read_have_names_for_all_controls_and_fit_a_phone(
    site: Site, open_page: OpenPage, scheme: str
) -> None:
    name = site.new_collection()
    site.upload("a-name-that-is-longer-than-a-phone-is-wide-and-has-no-blank.md", LEAVE, collection=name)
    site.upload("again.md", LEAVE, collection=name, origin="synthetic", access_labels="hr")
    with open_page(color_scheme=scheme) as page:
        page.goto(f"/documents?collection={name}")
        expect(page.locator("#list > li")).to_have_count(2)
        choose(page, ("scan.pdf", DAMAGED.read_bytes()))
        expect(page.get_by_text("1 file sent.")).to_be_visible()
        check_page(page)
        page.get_by_role("button", name="Details of").first.click()
        expect(page.locator(".versions li")).to_have_count(1)
        check_page(page)
    with open_page(color_scheme=scheme) as page:
        page.goto("/documents?view=runs")
        expect(page.locator("#runs > li").first).to_be_visible()
        check_page(page)

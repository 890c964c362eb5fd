// The frame of all pages: head, navigation, main part and foot.

import HTTPServer
import Images

/// A page.
struct Page {
  /// A section of the site.
  enum Section: CaseIterable { case images, space, health, none }

  let section: Section
  let title: String
  /// The links above the heading, from the top down.
  var path: [HTML] = []
  /// The heading; nil for the title.
  var heading: HTML?
  let content: [HTML]
  var status = HTTPStatus.ok

  /// The policy of every page: nothing but this server's own style sheet, script and images (CSP Level 3).
  static let policy =
    "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self' data:; base-uri 'none'; "
    + "form-action 'self'; frame-ancestors 'none'"

  /// Returns the page as an answer.
  func response() -> HTTPResponse {
    var bytes = Array("<!doctype html>\n".utf8)
    document.write(to: &bytes)
    return HTTPResponse(
      status, contentType: "text/html; charset=utf-8", body: .bytes(bytes),
      headers: HTTPResponse.safetyFields + [
        ("Content-Security-Policy", Page.policy), ("Cache-Control", "no-cache"),
      ] + ErrorAnswer.retryFields(status))
  }

  private var document: HTML {
    .tag(
      "html", HTMLAttribute("lang", "en"),
      content: [
        .tag(
          "head",
          content: [
            .tag("meta", HTMLAttribute("charset", "utf-8")),
            .tag(
              "meta", HTMLAttribute("name", "viewport"),
              HTMLAttribute("content", "width=device-width, initial-scale=1")),
            .tag(
              "meta", HTMLAttribute("name", "color-scheme"), HTMLAttribute("content", "light dark")),
            .tag("title", text: "\(title) – imgstore"),
            .tag(
              "link", HTMLAttribute("rel", "icon"), HTMLAttribute("type", "image/svg+xml"),
              .href(Assets.icon.url)),
            .tag("link", HTMLAttribute("rel", "stylesheet"), .href(Assets.styleSheet.url)),
            .script(Assets.script.url),
          ]),
        .tag("body", content: [skipLink, header, main, footer]),
      ])
  }

  private var skipLink: HTML {
    .tag("a", .style("skip"), .href(.here("main")), text: "Skip to the content")
  }

  private var header: HTML {
    let sections: [(Section, String, SiteURL)] = [
      (.images, "Images", .start), (.space, "Space", .space), (.health, "Health", .health),
    ]
    return .tag(
      "header",
      content: [
        .tag("a", .style("brand"), .href(.start), text: "imgstore"),
        .tag(
          "nav", HTMLAttribute("aria-label", "Sections"),
          content: [
            .tag(
              "ul",
              content: sections.map { section, name, url in
                .tag(
                  "li",
                  content: [
                    section == self.section
                      ? .tag("a", HTMLAttribute("aria-current", "page"), .href(url), text: name)
                      : .link(url, name)
                  ])
              })
          ]),
      ])
  }

  private var main: HTML {
    var nodes: [HTML] = []
    if !path.isEmpty {
      nodes.append(
        .tag(
          "nav", .style("path"), HTMLAttribute("aria-label", "Path"),
          content: [.tag("ol", content: path.map { .tag("li", content: [$0]) })]))
    }
    nodes.append(.tag("h1", content: [heading ?? .text(title)]))
    return .tag(
      "main", HTMLAttribute("id", "main"), HTMLAttribute("tabindex", -1), content: nodes + content)
  }

  private var footer: HTML {
    .tag(
      "footer",
      content: [
        .tag("span", text: "imgstore \(Workspace.version)"),
        .link(SiteURL("api", "v1", "openapi.json"), "API"),
        .link(SiteURL("metrics"), "Metrics"),
      ])
  }
}

/// The page of a failure.
enum ErrorPage {
  static func response(_ error: any Error) -> HTTPResponse {
    let status = ErrorAnswer.status(of: error)
    let explained = error as? any ExplainedError
    let titles: [HTTPStatus: String] = [
      .notFound: "Not found", .gone: "Removed", .badRequest: "This address is not valid",
      .unavailable: "Busy", .conflict: "Unfinished change",
    ]
    var content: [HTML] = [
      .tag(
        "p", .style("lead"),
        content: [.message(explained?.message ?? "the request failed")])
    ]
    if let hint = explained?.hint, !hint.isEmpty { content.append(.paragraph(.message(hint))) }
    content.append(.paragraph(.link(.start, "All images")))
    return Page(
      section: .none, title: titles[status] ?? "Failed", content: content, status: status
    ).response()
  }
}

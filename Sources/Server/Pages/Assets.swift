// The files that pages load: one style sheet, one script and an icon.
//
// 1. The name of a file contains the SHA-256 of its content, so browsers may keep it for ever.

import Codec
import HTTPServer
import Images

/// A file that pages load.
struct Asset: Sendable {
  let name: String
  let contentType: String
  let content: [UInt8]
  let digest: String

  init(_ stem: String, _ suffix: String, _ contentType: String, _ text: String) {
    content = Array(text.utf8)
    digest = SHA256.digest(of: content).hex
    name = "\(stem)-\(digest.prefix(16)).\(suffix)"
    self.contentType = contentType
  }

  var url: SiteURL { SiteURL("assets", name) }
}

/// All files that pages load.
enum Assets {
  static let styleSheet = Asset("imgstore", "css", "text/css; charset=utf-8", StyleSheet.text)
  static let script = Asset("imgstore", "js", "text/javascript; charset=utf-8", Script.text)
  static let icon = Asset(
    "icon", "svg", "image/svg+xml",
    """
    <svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 16 16"><rect width="16" height="16" rx="3" \
    fill="#0b5cad"/><path d="M3.5 5h9M3.5 8h9M3.5 11h6" stroke="#fff" stroke-width="1.6"/></svg>
    """)

  /// Returns the answer to a request below /assets; nil for other paths.
  static func response(_ path: [String]) -> HTTPResponse? {
    guard path.count == 2, path[0] == "assets",
      let asset = [styleSheet, script, icon].first(where: { $0.name == path[1] })
    else { return nil }
    return HTTPResponse(
      .ok, contentType: asset.contentType, body: .bytes(asset.content), entityTag: asset.digest,
      headers: HTTPResponse.safetyFields + [
        ("Cache-Control", "public, max-age=31536000, immutable"),
        ("Content-Security-Policy", "default-src 'none'"),
      ])
  }
}

/// The script: a button that copies a command. Pages are complete without it.
enum Script {
  static let text = """
    'use strict';
    for (const code of document.querySelectorAll('code.command')) {
      const button = document.createElement('button');
      button.type = 'button';
      button.className = 'copy';
      button.textContent = 'Copy';
      button.setAttribute('aria-label', 'Copy the command ' + code.textContent);
      button.addEventListener('click', async () => {
        try {
          await navigator.clipboard.writeText(code.textContent);
          button.textContent = 'Copied';
        } catch {
          getSelection().selectAllChildren(code);
          button.textContent = 'Selected';
        }
        setTimeout(() => { button.textContent = 'Copy'; }, 2000);
      });
      code.after(' ', button);
    }

    """
}

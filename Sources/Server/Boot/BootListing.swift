// The lists below /boot: HTML for browsers, which follow its links without script, and text for others.

import Codec
import HTTPServer
import Images

/// Lists images, and the boot files of a snapshot.
enum BootListing {
  /// Returns the images with their latest snapshot and their tags.
  static func images(_ images: [BootDirectory], for request: HTTPRequest) -> HTTPResponse {
    var rows: [(name: String, note: String)] = []
    for image in images {
      let latest = image.numbers.last ?? 0
      rows.append(("\(image.image)@\(latest)", "latest of \(image.numbers.count)"))
      for tag in image.tags {
        rows.append(("\(image.image)@\(tag.name)", "\(image.image)@\(tag.number)"))
      }
    }
    return answer("Boot files", rows.map { ($0.name, "/", $0.note) }, request)
  }

  /// Returns the files of a snapshot.
  /// - Parameter extra: the names of files that every snapshot has.
  static func files(
    _ list: BootFileList, of snapshot: CommittedSnapshot, extra: [String], for request: HTTPRequest
  ) -> HTTPResponse {
    let rows =
      list.files.map { file in
        (
          file.name, "",
          file.digest.map { "\(file.sizeBytes ?? 0) bytes, SHA-256 \($0.hex)" } ?? "made on request"
        )
      } + extra.map { ($0, "", "made on request") }
    return answer("\(snapshot.name), \(snapshot.id.hex)", rows, request)
  }

  private static func answer(
    _ title: String, _ rows: [(name: String, suffix: String, note: String)], _ request: HTTPRequest
  ) -> HTTPResponse {
    let isHTML = (request.header("accept") ?? "").contains("text/html")
    let bytes = Array((isHTML ? html(title, rows) : text(rows)).utf8)
    return HTTPResponse(
      .ok, contentType: isHTML ? "text/html; charset=utf-8" : "text/plain; charset=utf-8",
      body: .bytes(bytes), entityTag: SHA256.digest(of: bytes).hex,
      headers: [
        ("Cache-Control", "no-cache"), ("Vary", "Accept"),
        ("Content-Security-Policy", "default-src 'none'"),
      ])
  }

  private static func text(_ rows: [(name: String, suffix: String, note: String)]) -> String {
    rows.map { "\(printable($0.name.utf8))\($0.suffix)\t\($0.note)\n" }.joined()
  }

  private static func html(
    _ title: String, _ rows: [(name: String, suffix: String, note: String)]
  ) -> String {
    var text =
      "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">"
      + "<meta name=\"viewport\" content=\"width=device-width\">"
      + "<title>\(escaped(title))</title></head>\n<body><main><h1>\(escaped(title))</h1>\n<ul>\n"
    for row in rows {
      text +=
        "<li><a href=\"./\(PercentEncoding.segment(row.name.utf8))\(row.suffix)\">"
        + "\(escaped(row.name))</a> \(escaped(row.note))</li>\n"
    }
    return text + "</ul></main></body></html>\n"
  }

  private static func escaped(_ text: String) -> String {
    var result = ""
    for character in printable(text.utf8).unicodeScalars {
      switch character {
      case "&": result += "&amp;"
      case "<": result += "&lt;"
      case ">": result += "&gt;"
      case "\"": result += "&quot;"
      case "'": result += "&#39;"
      default: result.unicodeScalars.append(character)
      }
    }
    return result
  }
}

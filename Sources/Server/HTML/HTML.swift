// A document of HTML or SVG as a value (HTML Living Standard, section 13.1).
//
// 1. Names of elements and attributes are literals of this program. Text and values are escaped when they are
//    written: no text can become markup.
// 2. An attribute with a URL takes a `SiteURL`, which only leads to this server.
// 3. Neither scripts nor styles can be written into a document. A script can only be loaded, from this server.

/// A node of a document, or several.
enum HTML: Sendable {
  case element(HTMLTag, [HTMLAttribute], [HTML])
  case text(String)
  case group([HTML])

  /// Nothing.
  static let nothing = HTML.group([])

  /// Creates an element.
  static func tag(_ tag: HTMLTag, _ attributes: HTMLAttribute..., content: [HTML] = []) -> HTML {
    .element(tag, attributes, content)
  }

  /// Creates an element that contains one text.
  static func tag(_ tag: HTMLTag, _ attributes: HTMLAttribute..., text: String) -> HTML {
    .element(tag, attributes, [.text(text)])
  }

  /// Creates an element that loads a script of this server after the page.
  static func script(_ url: SiteURL) -> HTML {
    .element(HTMLTag(unchecked: "script"), [.src(url), .flag("defer")], [])
  }

  /// Appends the markup.
  func write(to output: inout [UInt8]) {
    switch self {
    case .text(let text): HTML.escape(text, to: &output)
    case .group(let nodes): for node in nodes { node.write(to: &output) }
    case .element(let tag, let attributes, let nodes):
      output.append(UInt8(ascii: "<"))
      output.append(contentsOf: tag.name)
      for attribute in attributes { attribute.write(to: &output) }
      output.append(UInt8(ascii: ">"))
      if tag.isVoid { return }
      for node in nodes { node.write(to: &output) }
      output.append(contentsOf: "</".utf8)
      output.append(contentsOf: tag.name)
      output.append(UInt8(ascii: ">"))
    }
  }

  /// Appends text as character data, or as a value between double quotes.
  static func escape(_ text: String, to output: inout [UInt8]) {
    for byte in text.utf8 {
      switch byte {
      case UInt8(ascii: "&"): output.append(contentsOf: "&amp;".utf8)
      case UInt8(ascii: "<"): output.append(contentsOf: "&lt;".utf8)
      case UInt8(ascii: ">"): output.append(contentsOf: "&gt;".utf8)
      case UInt8(ascii: "\""): output.append(contentsOf: "&quot;".utf8)
      case UInt8(ascii: "'"): output.append(contentsOf: "&#39;".utf8)
      case 0x09, 0x0a, 0x20...0x7e, 0x80...: output.append(byte)
      // Other control characters may not occur in HTML.
      default: output.append(contentsOf: "\u{fffd}".utf8)
      }
    }
  }
}

/// The name of an element.
struct HTMLTag: Sendable, ExpressibleByStringLiteral {
  private let literal: StaticString
  let isVoid: Bool

  init(stringLiteral literal: StaticString) {
    self.literal = literal
    isVoid = ["meta", "link", "br", "input", "hr"].contains(literal.description)
    precondition(!["script", "style", "iframe", "object", "embed"].contains(literal.description))
  }

  fileprivate init(unchecked literal: StaticString) { (self.literal, isVoid) = (literal, false) }

  fileprivate var name: UnsafeBufferPointer<UInt8> {
    UnsafeBufferPointer(start: literal.utf8Start, count: literal.utf8CodeUnitCount)
  }
}

/// An attribute with its value.
struct HTMLAttribute: Sendable {
  private let name: StaticString
  private let value: String?

  private init(name: StaticString, value: String?) { (self.name, self.value) = (name, value) }

  /// Creates an attribute whose value is not a URL.
  init(_ name: StaticString, _ value: String) {
    let refused = ["href", "src", "action", "style", "srcdoc", "xlink:href", "formaction"]
    precondition(!refused.contains(name.description) && !name.description.hasPrefix("on"))
    (self.name, self.value) = (name, value)
  }

  /// Creates an attribute with a number.
  init(_ name: StaticString, _ value: Int) { self.init(name, "\(value)") }

  /// Creates an attribute with a length or a coordinate.
  init(_ name: StaticString, _ value: Double) {
    let hundredths = Int((value * 100).rounded())
    let fraction = hundredths.magnitude % 100
    let whole = "\(hundredths < 0 ? "-" : "")\(hundredths.magnitude / 100)"
    self.init(
      name, fraction == 0 ? whole : whole + (fraction < 10 ? ".0" : ".") + "\(fraction)")
  }

  static func style(_ names: StaticString) -> HTMLAttribute {
    HTMLAttribute("class", names.description)
  }
  static func href(_ url: SiteURL) -> HTMLAttribute {
    HTMLAttribute(name: "href", value: url.text)
  }
  static func src(_ url: SiteURL) -> HTMLAttribute { HTMLAttribute(name: "src", value: url.text) }
  static func action(_ url: SiteURL) -> HTMLAttribute {
    HTMLAttribute(name: "action", value: url.text)
  }
  /// Creates an attribute without a value.
  static func flag(_ name: StaticString) -> HTMLAttribute {
    HTMLAttribute(name: name, value: nil)
  }

  fileprivate func write(to output: inout [UInt8]) {
    output.append(UInt8(ascii: " "))
    output.append(
      contentsOf: UnsafeBufferPointer(start: name.utf8Start, count: name.utf8CodeUnitCount))
    guard let value else { return }
    output.append(contentsOf: "=\"".utf8)
    HTML.escape(value, to: &output)
    output.append(UInt8(ascii: "\""))
  }
}

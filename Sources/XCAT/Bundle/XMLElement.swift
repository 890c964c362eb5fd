// A small XML tree, parsed by expat, with restrictions for manifests.
//
// 1. A document type, entities of its own, and attributes are refused: bundles are untrusted.
// 2. Limits: 16 MiB, 64 levels, 100,000 elements, names of 128 bytes.

import CExpat

/// An element with its children and its text.
public final class XMLElement {
  public let name: String
  public private(set) var children: [XMLElement] = []
  /// The text directly inside, in one piece.
  public private(set) var text = ""

  /// Creates an element without content.
  public init(_ name: String) { self.name = name }

  /// Returns the children of that name.
  public func children(named name: String) -> [XMLElement] { children.filter { $0.name == name } }

  /// The text without white space around it.
  public var value: String {
    var scalars = text.unicodeScalars[...]
    while let first = scalars.first, first.properties.isWhitespace { scalars.removeFirst() }
    while let last = scalars.last, last.properties.isWhitespace { scalars.removeLast() }
    return String(scalars)
  }

  static let maxBytes = 16 << 20
  static let maxNameBytes = 128

  /// Parses a document.
  /// - Throws: `XCATError` for a text that is not well-formed, has a document type, or is too large.
  public static func parse(_ bytes: [UInt8], object: String) throws(XCATError) -> XMLElement {
    guard bytes.count <= maxBytes else {
      throw XCATError(
        .bundleInvalid, object, "has \(bytes.count) bytes, more than a manifest may have")
    }
    guard let parser = XML_ParserCreate(nil) else {
      throw XCATError(.bundleInvalid, object, "cannot be read: out of memory")
    }
    defer { XML_ParserFree(parser) }
    let builder = Builder(parser)
    XML_SetUserData(parser, Unmanaged.passUnretained(builder).toOpaque())
    XML_SetElementHandler(
      parser,
      { user, name, attributes in
        guard let user, let name else { return }
        Unmanaged<Builder>.fromOpaque(user).takeUnretainedValue()
          .open(String(cString: name), hasAttributes: attributes?.pointee != nil)
      },
      { user, _ in
        guard let user else { return }
        Unmanaged<Builder>.fromOpaque(user).takeUnretainedValue().close()
      })
    XML_SetCharacterDataHandler(parser) { user, text, count in
      guard let user, let text else { return }
      let bytes = UnsafeRawBufferPointer(start: text, count: Int(count))
      Unmanaged<Builder>.fromOpaque(user).takeUnretainedValue()
        .append(String(decoding: bytes, as: UTF8.self))
    }
    XML_SetStartDoctypeDeclHandler(parser) { user, _, _, _, _ in
      guard let user else { return }
      Unmanaged<Builder>.fromOpaque(user).takeUnretainedValue().stop("it has a document type")
    }
    let status = bytes.withUnsafeBytes { buffer in
      XML_Parse(
        parser, buffer.baseAddress?.assumingMemoryBound(to: CChar.self), Int32(buffer.count), 1)
    }
    guard status == XML_STATUS_OK, let root = builder.root else {
      let line = XML_GetCurrentLineNumber(parser)
      let reason =
        builder.complaint ?? XML_ErrorString(XML_GetErrorCode(parser)).map { String(cString: $0) }
        ?? "unknown error"
      throw XCATError(.bundleInvalid, object, "cannot be parsed as XML: \(reason) (line \(line))")
    }
    withExtendedLifetime(builder) {}
    return root
  }

  private final class Builder {
    private let parser: XML_Parser
    private var stack: [XMLElement] = []
    private var count = 0
    private(set) var root: XMLElement?
    private(set) var complaint: String?

    init(_ parser: XML_Parser) { self.parser = parser }

    func open(_ name: String, hasAttributes: Bool) {
      count += 1
      guard !hasAttributes else { return stop("an element has an attribute") }
      guard name.utf8.count <= XMLElement.maxNameBytes else {
        return stop("an element's name is too long")
      }
      guard stack.count < 64, count <= 100_000 else { return stop("it has too many elements") }
      stack.append(XMLElement(name))
    }

    func close() {
      guard let done = stack.popLast() else { return }
      if let parent = stack.last { parent.children.append(done) } else { root = done }
    }

    func append(_ text: String) { stack.last?.text += text }

    func stop(_ reason: String) {
      complaint = complaint ?? reason
      XML_StopParser(parser, 0)
    }
  }
}

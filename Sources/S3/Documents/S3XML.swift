// A small tree of an XML answer, parsed by expat.
//
// 1. The service is not trusted: a document type and entities of its own are refused; depth, elements, names
//    and size are limited. Attributes (namespaces) are ignored.
// 2. Names are compared without a namespace: services differ in it.

import CExpat

/// An element with its children and its text.
struct S3XML {
  let name: String
  private(set) var children: [S3XML] = []
  private(set) var text = ""

  private init(name: String) { self.name = name }

  /// Returns the text of the first child of that name; nil if there is none.
  func value(_ name: String) -> String? { children.first { $0.name == name }?.text }

  /// Returns the children of that name.
  func all(_ name: String) -> [S3XML] { children.filter { $0.name == name } }

  static let maxDepth = 16
  static let maxElements = 20_000
  static let maxNameBytes = 128
  /// A page of 1000 keys of 900 bytes, each byte encoded as three, fits.
  static let maxBytes = 8 << 20

  /// Parses a document; nil if it is not well-formed, breaks a limit, or declares a document type.
  static func parse(_ bytes: [UInt8]) -> S3XML? {
    guard bytes.count <= maxBytes, let parser = XML_ParserCreate(nil) else { return nil }
    defer { XML_ParserFree(parser) }
    let builder = Builder(parser)
    XML_SetUserData(parser, Unmanaged.passUnretained(builder).toOpaque())
    XML_SetElementHandler(
      parser,
      { user, name, _ in
        guard let user, let name else { return }
        Unmanaged<Builder>.fromOpaque(user).takeUnretainedValue().open(name)
      },
      { user, _ in
        guard let user else { return }
        Unmanaged<Builder>.fromOpaque(user).takeUnretainedValue().close()
      })
    XML_SetCharacterDataHandler(parser) { user, text, count in
      guard let user, let text else { return }
      let bytes = UnsafeRawBufferPointer(start: text, count: Int(count))
      Unmanaged<Builder>.fromOpaque(user).takeUnretainedValue().append(bytes)
    }
    XML_SetStartDoctypeDeclHandler(parser) { user, _, _, _, _ in
      guard let user else { return }
      Unmanaged<Builder>.fromOpaque(user).takeUnretainedValue().refuse()
    }
    let status = bytes.withUnsafeBytes { buffer in
      XML_Parse(
        parser, buffer.baseAddress?.assumingMemoryBound(to: CChar.self), Int32(buffer.count), 1)
    }
    let isComplete = withExtendedLifetime(builder) {
      status == XML_STATUS_OK && !builder.isRefused
    }
    return isComplete ? builder.root : nil
  }

  private final class Builder {
    private let parser: XML_Parser
    private var stack: [S3XML] = []
    private var texts: [[UInt8]] = []
    private var count = 0
    private(set) var root: S3XML?
    private(set) var isRefused = false

    init(_ parser: XML_Parser) { self.parser = parser }

    func open(_ name: UnsafePointer<CChar>) {
      count += 1
      let name = String(cString: name)
      guard count <= S3XML.maxElements, stack.count < S3XML.maxDepth,
        name.utf8.count <= S3XML.maxNameBytes
      else { return refuse() }
      stack.append(S3XML(name: name))
      texts.append([])
    }

    func close() {
      guard var element = stack.popLast(), let text = texts.popLast() else { return }
      element.text = String(decoding: text, as: UTF8.self)
      if stack.isEmpty { root = element } else { stack[stack.count - 1].children.append(element) }
    }

    func append(_ text: UnsafeRawBufferPointer) {
      if !texts.isEmpty { texts[texts.count - 1].append(contentsOf: text) }
    }

    func refuse() {
      isRefused = true
      XML_StopParser(parser, 0)
    }
  }
}

// `nodeset NODES osimage=NAME`: copies an image's boot files to where nodes load them, and sets the nodes to boot
// them. It is shown to people, who paste it into a shell, and run as xCAT's client, without one.
//
// 1. Names of nodes and groups are plain words. An image's name that xCAT's options would take apart is
//    refused; one that a shell would is quoted.

import Platform

/// A run of xCAT's nodeset.
public struct NodesetCommand: Sendable, Equatable {
  /// The nodes, as a node range.
  public let range: String
  public let image: String

  /// - Throws: `XCATError` for a name that xCAT's commands cannot carry.
  public init(range: String, image: String) throws(XCATError) {
    try XCATCommandRunner.check(name: image)
    guard !range.isEmpty,
      range.utf8.split(separator: UInt8(ascii: ","), omittingEmptySubsequences: false)
        .allSatisfy({ NodesetCommand.isPlain(String(decoding: $0, as: UTF8.self)) })
    else {
      throw XCATError(
        "node range '\(printable(range.utf8.prefix(255)))'", "is not made of plain names",
        advice: "Run nodeset by hand")
    }
    self.range = range
    self.image = image
  }

  public var arguments: [String] { [range, "osimage=\(image)"] }

  /// The command as a shell takes it.
  public var text: String {
    let isWord = image.utf8.allSatisfy { NodesetCommand.isWordByte($0) || "+:%".utf8.contains($0) }
    return "nodeset \(range) " + (isWord ? "osimage=\(image)" : "'osimage=\(image)'")
  }

  /// The same as several commands, where the range is too long for one argument of a program (128 KiB).
  public func parts() throws(XCATError) -> [NodesetCommand] {
    let limit = 100_000
    var ranges: [String] = []
    for node in range.split(separator: ",") {
      if let last = ranges.last, last.utf8.count + node.utf8.count < limit {
        ranges[ranges.count - 1] = last + "," + node
      } else {
        ranges.append(String(node))
      }
    }
    var parts: [NodesetCommand] = []
    for range in ranges { parts.append(try NodesetCommand(range: range, image: image)) }
    return parts
  }

  /// Whether a name is a plain word, which neither a shell nor xCAT takes for something else.
  static func isPlain(_ name: String) -> Bool {
    !name.isEmpty && name.utf8.first != UInt8(ascii: "-")
      && name.utf8.allSatisfy(isWordByte)
  }

  private static func isWordByte(_ byte: UInt8) -> Bool {
    switch byte {
    case 0x30...0x39, 0x41...0x5a, 0x61...0x7a: true
    default: "-._".utf8.contains(byte)
    }
  }
}

/// Runs nodeset.
public struct NodesetRunner: Sendable {
  private let commands: XCATCommandRunner

  /// - Parameter environment: XCATROOT and PATH say where the command is.
  public init(_ fileSystem: any FileSystem, environment: [String: String]) {
    commands = XCATCommandRunner(fileSystem, environment: environment)
  }

  /// - Throws: `XCATError` where there is no nodeset.
  public func requirePresent() throws { _ = try commands.path(of: "nodeset") }

  /// - Throws: `XCATError` with what it said, where it fails.
  public func run(_ command: NodesetCommand) throws {
    try commands.mustRun("nodeset", command.arguments)
  }
}

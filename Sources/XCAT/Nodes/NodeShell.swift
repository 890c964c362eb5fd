// Reads a file on many nodes with xCAT's xdsh, which prints each line as "NODE: LINE". Lines of ssh and of xdsh
// itself about a node are on either stream.

import Platform

/// What the nodes answered.
public struct NodeAnswers: Sendable {
  /// The content of the file on each node that printed something.
  public private(set) var files: [String: [UInt8]] = [:]
  /// The messages about the other nodes, one line each.
  public private(set) var failures: [String: String] = [:]

  /// Parses the output of xdsh.
  /// - Parameters:
  ///   - nodes: the nodes that were asked. Lines of others are ignored.
  ///   - limitBytes: the maximum length of one node's file; the rest is ignored.
  init(_ nodes: Set<String>, output: [UInt8], errors: [UInt8], limitBytes: Int = 64 << 10) {
    for line in output.split(separator: 0x0a) {
      guard let (node, text) = NodeAnswers.split(line), nodes.contains(node) else { continue }
      guard files[node, default: []].count + text.count < limitBytes else { continue }
      files[node, default: []] += text + [0x0a]
    }
    for line in errors.split(separator: 0x0a) {
      let text = printable(line.prefix(300))
      for node in text.split(whereSeparator: { " :,[]()".contains($0) }).map(String.init)
      where nodes.contains(node) && failures[node] == nil {
        failures[node] =
          text.hasPrefix("\(node): ") ? String(text.dropFirst(node.count + 2)) : text
      }
    }
  }

  private static func split(_ line: ArraySlice<UInt8>) -> (node: String, text: [UInt8])? {
    guard let colon = line.firstIndex(of: UInt8(ascii: ":")) else { return nil }
    var text = line[(colon + 1)...]
    if text.first == 0x20 { text = text.dropFirst() }
    return (String(decoding: line[..<colon], as: UTF8.self), Array(text))
  }
}

/// Runs commands on nodes.
public struct NodeShell: Sendable {
  private let commands: XCATCommandRunner
  /// xdsh's limit for one node's command.
  private let timeoutSeconds: Int

  /// - Parameter environment: XCATROOT and PATH locate the command.
  public init(
    _ fileSystem: any FileSystem, environment: [String: String], timeoutSeconds: Int
  ) {
    commands = XCATCommandRunner(fileSystem, environment: environment)
    self.timeoutSeconds = timeoutSeconds
  }

  /// Reads a file on nodes.
  /// - Parameter nodes: plain names.
  /// - Throws: `XCATError` if xdsh does not exist; `SystemError` if it cannot be run. A node that does not
  ///   answer is not an error.
  public func read(_ path: String, on nodes: [String]) throws -> NodeAnswers {
    var output: [UInt8] = []
    var errors: [UInt8] = []
    var rest = nodes[...]
    while !rest.isEmpty {
      // A range must fit one argument of a program (128 KiB).
      let part = rest.prefix(1000)
      rest = rest.dropFirst(part.count)
      let result = try commands.run(
        "xdsh", [part.joined(separator: ","), "-t", "\(timeoutSeconds)", "cat", path])
      output += result.output
      errors += result.errors
    }
    return NodeAnswers(Set(nodes), output: output, errors: errors)
  }
}

// Which nodes boot an image, for `status` and `show`. The nodes come from the same tables as those of the
// boot-file comparison, but do not depend on the state of any file.

import XCAT

/// The nodes that boot an image.
public struct ImageNodes: Sendable {
  /// The names of the nodes, sorted.
  public let names: [String]
  /// The nodes as the shortest node range that means exactly them; empty without nodes.
  public let range: String
  /// The nodes whose image is unknown, because only xCAT can compute their table entries.
  public let unclear: [String]
}

extension Workspace {
  /// Returns the nodes that boot an image.
  /// - Returns: nil for an image that xCAT's tables do not define.
  /// - Throws: errors of reading xCAT's tables.
  public func nodes(of image: String) throws -> ImageNodes? {
    let tables = try context.tables()
    guard let definition = try tables.definition(of: image), !definition.isDirectory else {
      return nil
    }
    let found = try BootNodes(of: image, tables)
    let names = found.nodes.map(\.name)
    return ImageNodes(
      names: names, range: names.isEmpty ? "" : found.range(of: names), unclear: found.unclear)
  }
}

// The script lists of nodes, for `imgexport -p` and `imgimport -p` (docs/xcat-contract.md#postscripts). The
// code reads a table backend and returns the row changes; it writes nothing.

import Platform

/// A node's script lists, as comma lists.
public struct NodeScripts: Sendable, Equatable {
  /// nil if the list does not exist.
  public var postscripts: String?
  /// nil if the list does not exist.
  public var postbootscripts: String?

  /// Creates lists.
  public init(postscripts: String?, postbootscripts: String?) {
    self.postscripts = postscripts
    self.postbootscripts = postbootscripts
  }
}

/// Nodes, their groups, and their scripts.
public struct NodeLists {
  private var tables: NodeTables
  private let groupDefinitions: [[String: String]]
  private let excludedNodes: String

  /// Reads the node tables.
  /// - Throws: the errors of the backend.
  public init(_ backend: any TableBackend) throws {
    tables = try NodeTables(backend)
    groupDefinitions = try backend.rows("nodegroup")
    excludedNodes = try backend.site("excludenodes") ?? ""
  }

  /// Returns the nodes of a range, without those of `site.excludenodes`, as xCAT does.
  /// - Throws: `XCATError` for an unsupported range.
  public mutating func expand(_ range: String) throws -> NodeSelection {
    let chosen = try selection(range)
    guard !excludedNodes.isEmpty else { return chosen }
    let excluded = Set(try selection(excludedNodes).nodes)
    return NodeSelection(
      nodes: chosen.nodes.filter { !excluded.contains($0) }, unknown: chosen.unknown)
  }

  private mutating func selection(_ range: String) throws -> NodeSelection {
    let groups = try NodeGroups.members(&tables, groupDefinitions, in: range)
    var expansion = NodeRange(nodes: Set(tables.groups.keys), groups: groups)
    return try expansion.expand(range)
  }

  /// Returns the scripts that a node runs: the lists of xcatdefaults, then its own or its groups'.
  /// - Throws: `XCATError`: the node does not exist, or only Perl could compute a value.
  public mutating func scripts(of node: String) throws -> NodeScripts {
    guard tables.groups[node] != nil else {
      throw XCATError(
        "node \(printable(node.utf8))", "is not in xCAT's table nodelist",
        hint: "Run 'nodels' to list the nodes")
    }
    let defaults = try tables.row("postscripts", "xcatdefaults")
    func list(_ column: String) throws -> String? {
      let own = try tables.value("postscripts", column, node: node)
      let both = [defaults[column], own].compactMap { $0 }
      return both.isEmpty ? nil : both.joined(separator: ",")
    }
    return NodeScripts(
      postscripts: try list("postscripts"), postbootscripts: try list("postbootscripts"))
  }

  /// Returns the changes that give nodes these lists, without names that xcatdefaults has.
  /// - Parameters:
  ///   - scripts: nil for a list that stays unchanged.
  ///   - appending: whether new names are appended to the node's own list; otherwise the list is
  ///     replaced, as by xCAT.
  public mutating func rowChanges(
    _ nodes: [String], _ scripts: NodeScripts, appending: Bool
  ) throws -> [RowChange] {
    let defaults = try tables.row("postscripts", "xcatdefaults")
    func names(_ given: String?, _ column: String) -> [String] {
      let inDefaults = Set(NodeTables.list(defaults[column]))
      return NodeTables.list(given).filter { !inDefaults.contains($0) }
    }
    // As in xCAT, lists that add nothing to xcatdefaults leave the nodes' own unchanged.
    guard
      !names(scripts.postscripts, "postscripts").isEmpty
        || !names(scripts.postbootscripts, "postbootscripts").isEmpty
    else { return [] }
    return try nodes.compactMap { node in
      let row = try tables.row("postscripts", node)
      var columns: [String: String] = [:]
      for (column, given) in [
        ("postscripts", scripts.postscripts), ("postbootscripts", scripts.postbootscripts),
      ] {
        guard let given else { continue }
        let names = names(given, column)
        let existing = appending ? NodeTables.list(row[column]) : []
        var seen: Set<String> = []
        let list = (existing + names).filter { seen.insert($0).inserted }.joined(separator: ",")
        if list != row[column] ?? "" { columns[column] = list }
      }
      guard !columns.isEmpty else { return nil }
      return RowChange(
        schema: .postscripts, key: ["node": node], columns: columns, keepsOtherColumns: true)
    }
  }
}

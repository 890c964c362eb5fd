// The lists of scripts of nodes, for `imgexport -p` and `imgimport -p` (xcat.md section 2 step 6 and
// section 3 step 11). Pure over a table door: it reads, and says which rows should change.

import Platform

/// A node's lists of scripts, as comma lists.
public struct NodeScripts: Sendable, Equatable {
  /// nil where there is nothing to say.
  public var postscripts: String?
  public var postbootscripts: String?

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

  /// - Throws: what the door throws.
  public init(_ door: any TableBackend) throws {
    tables = try NodeTables(door)
    groupDefinitions = try door.rows("nodegroup")
    excludedNodes = try door.site("excludenodes") ?? ""
  }

  /// The nodes that a range stands for. Those of `site.excludenodes` are left out, as by xCAT.
  /// - Throws: `XCATError` for what is not understood.
  public mutating func expand(_ range: String) throws -> NodeSelection {
    let chosen = try selection(range)
    guard !excludedNodes.isEmpty else { return chosen }
    let excluded = Set(try selection(excludedNodes).nodes)
    return NodeSelection(
      nodes: chosen.nodes.filter { !excluded.contains($0) }, unknown: chosen.unknown)
  }

  private mutating func selection(_ range: String) throws -> NodeSelection {
    let groups = try NodeGroups.members(&tables, groupDefinitions, wanted: range)
    var expansion = NodeRange(nodes: Set(tables.groups.keys), groups: groups)
    return try expansion.expand(range)
  }

  /// What a node runs: the lists of xcatdefaults, then its own or its groups'.
  /// - Throws: `XCATError`: no such node; a value that only Perl could work out.
  public mutating func scripts(of node: String) throws -> NodeScripts {
    guard tables.groups[node] != nil else {
      throw XCATError(
        "node \(printable(node.utf8))", "is not in xCAT's table nodelist",
        advice: "'nodels' lists the nodes there are")
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

  /// The changes that give nodes these lists. Names that xcatdefaults has already are left out.
  /// - Parameters:
  ///   - scripts: nil for a list that stays as it is.
  ///   - appending: whether the node's own list stays, with new names behind it; else it is
  ///     replaced, as by xCAT.
  public mutating func rowChanges(
    _ nodes: [String], _ scripts: NodeScripts, appending: Bool
  ) throws -> [RowChange] {
    let defaults = try tables.row("postscripts", "xcatdefaults")
    func names(_ given: String?, _ column: String) -> [String] {
      let inDefaults = Set(NodeTables.list(defaults[column]))
      return NodeTables.list(given).filter { !inDefaults.contains($0) }
    }
    // As xCAT: lists that bring nothing beyond xcatdefaults leave the nodes' own alone.
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
        let own = appending ? NodeTables.list(row[column]) : []
        var seen: Set<String> = []
        let list = (own + names).filter { seen.insert($0).inserted }.joined(separator: ",")
        if list != row[column] ?? "" { columns[column] = list }
      }
      guard !columns.isEmpty else { return nil }
      return RowChange(
        schema: .postscripts, key: ["node": node], columns: columns, keepsOtherColumns: true)
    }
  }
}

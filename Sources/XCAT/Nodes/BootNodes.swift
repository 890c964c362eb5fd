// Which nodes boot an image: by nodetype.provmethod, as nodeset sets it or a group has it, and by the
// kernel and ramdisk that nodeset has written into the table bootparams.
//
// 1. What bootparams says of a node counts more: after `nodeset NODE shell`, or osimage=OTHER, the node boots
//    something else.
// 2. A node whose values only Perl could work out, or whose name is no name for a command line, is told apart
//    ("unclear"); it hides no other.

import Platform

/// A node that boots an image.
public struct BootNode: Sendable, Equatable {
  public let name: String
  /// The folder that its boot files are in, where noderes.tftpdir names one.
  public let tftpDirectory: String?
  /// Its boot files are on its service node, which has a TFTP folder of its own (site.sharedtftp).
  public let isElsewhere: Bool
}

/// The nodes of an image.
public struct BootNodes {
  public private(set) var nodes: [BootNode] = []
  /// Nodes that cannot be worked out.
  public private(set) var unclear: [String] = []
  private let known: Set<String>
  private let groups: [String: Set<String>]

  /// - Throws: what the door throws.
  public init(of image: String, _ door: any TableBackend) throws {
    var tables = try NodeTables(door)
    let sharesFolder = !["0", "no", "NO"].contains(try door.site("sharedtftp") ?? "")
    for node in tables.groups.keys.sorted(by: byBytes) {
      do {
        guard try BootNodes.boots(node, image, &tables) else { continue }
        guard NodesetCommand.isPlain(node) else {
          unclear.append(node)
          continue
        }
        let servers = try ["servicenode", "tftpserver"].compactMap {
          try tables.value("noderes", $0, node: node)
        }
        nodes.append(
          BootNode(
            name: node, tftpDirectory: try tables.value("noderes", "tftpdir", node: node),
            isElsewhere: !sharesFolder && servers.contains { $0 != "<xcatmaster>" }))
      } catch is XCATError {
        unclear.append(node)
      }
    }
    known = Set(tables.groups.keys)
    // A dynamic group's members are known to xCAT only.
    let defined = Set(try door.rows("nodegroup").compactMap { $0["groupname"] })
    var groups: [String: Set<String>] = [:]
    for (node, names) in tables.groups {
      for name in names where NodesetCommand.isPlain(name) && !defined.contains(name) {
        groups[name, default: []].insert(node)
      }
    }
    self.groups = groups.filter { tables.groups[$0.key] == nil }
  }

  private static func boots(
    _ node: String, _ image: String, _ tables: inout NodeTables
  ) throws -> Bool {
    let folder = BootFiles.subfolder(of: image) + "/"
    var isSet = false
    for column in ["kernel", "initrd", "kcmdline"] {
      guard let value = try tables.value("bootparams", column, node: node) else { continue }
      // "KERNEL!HYPERVISOR" for Xen.
      if value.split(whereSeparator: { $0 == "!" || $0 == " " }).contains(where: {
        $0.hasPrefix(folder) || $0.contains("/" + folder)
      }) {
        return true
      }
      if column == "kernel" { isSet = true }
    }
    return try !isSet && tables.value("nodetype", "provmethod", node: node) == image
  }

  /// Returns the shortest node range that stands for exactly these nodes.
  public func range(of names: [String]) -> String {
    let parts = NodeFolding.parts(names)
    let wanted = Set(names)
    if parts.count > 1, let group = groups.filter({ $0.value == wanted }).keys.min(by: byBytes) {
      return group
    }
    let folded = parts.joined(separator: ",")
    var expansion = NodeRange(nodes: known, groups: groups)
    let meant = try? expansion.expand(folded)
    return meant.map { Set($0.nodes) == wanted && $0.unknown.isEmpty } == true
      ? folded : names.joined(separator: ",")
  }
}

// Finds the nodes that boot an image: by nodetype.provmethod, as nodeset sets it or a group has it,
// and by the kernel and ramdisk that nodeset has written to the table bootparams
// (docs/xcat-contract.md#nodeset-and-boot-files).
//
// 1. bootparams takes precedence: after `nodeset NODE shell`, or osimage=OTHER, the node boots
//    something else.
// 2. A node is "unclear" if only Perl could compute its values, or if its name is not safe on a
//    command line. It does not hide other nodes.

/// A node that boots an image.
public struct BootNode: Sendable, Equatable {
  public let name: String
  /// The TFTP directory of the node, if noderes.tftpdir names one.
  public let tftpDirectory: String?
  /// Whether the boot files are on the node's service node, which has a TFTP directory of its own
  /// (site.sharedtftp).
  public let isElsewhere: Bool
}

/// The nodes of an image.
public struct BootNodes {
  /// The nodes, sorted by name.
  public private(set) var nodes: [BootNode] = []
  /// The nodes whose image cannot be determined.
  public private(set) var unclear: [String] = []
  private let known: Set<String>
  private let groups: [String: Set<String>]

  /// Reads the tables and finds the nodes.
  /// - Throws: the errors of the backend.
  public init(of image: String, _ backend: any TableBackend) throws {
    var tables = try NodeTables(backend)
    let sharesDirectory = !["0", "no", "NO"].contains(try backend.site("sharedtftp") ?? "")
    for node in tables.groups.keys.sorted(by: byBytes) {
      do {
        guard try BootNodes.boots(node, image, &tables) else { continue }
        guard NodesetArguments.isPlain(node) else {
          unclear.append(node)
          continue
        }
        let servers = try ["servicenode", "tftpserver"].compactMap {
          try tables.value("noderes", $0, node: node)
        }
        nodes.append(
          BootNode(
            name: node, tftpDirectory: try tables.value("noderes", "tftpdir", node: node),
            isElsewhere: !sharesDirectory && servers.contains { $0 != "<xcatmaster>" }))
      } catch is XCATError {
        unclear.append(node)
      }
    }
    known = Set(tables.groups.keys)
    // Only xCAT knows the members of a dynamic group.
    let defined = Set(try backend.rows("nodegroup").compactMap { $0["groupname"] })
    var groups: [String: Set<String>] = [:]
    for (node, names) in tables.groups {
      for name in names where NodesetArguments.isPlain(name) && !defined.contains(name) {
        groups[name, default: []].insert(node)
      }
    }
    self.groups = groups.filter { tables.groups[$0.key] == nil }
  }

  private static func boots(
    _ node: String, _ image: String, _ tables: inout NodeTables
  ) throws -> Bool {
    let directory = BootFiles.subdirectory(of: image) + "/"
    var isSet = false
    for column in ["kernel", "initrd", "kcmdline"] {
      guard let value = try tables.value("bootparams", column, node: node) else { continue }
      // "KERNEL!HYPERVISOR" for Xen.
      if value.split(whereSeparator: { $0 == "!" || $0 == " " }).contains(where: {
        $0.hasPrefix(directory) || $0.contains("/" + directory)
      }) {
        return true
      }
      if column == "kernel" { isSet = true }
    }
    return try !isSet && tables.value("nodetype", "provmethod", node: node) == image
  }

  /// Returns the shortest node range that means exactly these nodes.
  public func range(of names: [String]) -> String {
    let parts = NodeRangeFormatter.parts(names)
    let nodeSet = Set(names)
    if parts.count > 1, let group = groups.filter({ $0.value == nodeSet }).keys.min(by: byBytes) {
      return group
    }
    let folded = parts.joined(separator: ",")
    var expansion = NodeRange(nodes: known, groups: groups)
    let expanded = try? expansion.expand(folded)
    return expanded.map { Set($0.nodes) == nodeSet && $0.unknown.isEmpty } == true
      ? folded : names.joined(separator: ",")
  }
}

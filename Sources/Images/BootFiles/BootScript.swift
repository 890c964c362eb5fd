// The iPXE script that boots a snapshot, with the kernel parameters that xCAT's nodeset would write
// (docs/xcat-contract.md#kernel-parameters-of-diskless-images).
//
// 1. Every URL names the snapshot by its number, so a node keeps one snapshot through its boot while a tag moves.
// 2. Kernel and ramdisk are relative to the script. Only the root image, which the node's ramdisk loads, needs an
//    absolute URL.

import Platform
import Store
import XCAT

/// What determines a script.
public struct BootScriptRequest: Sendable {
  /// The URL of the directory with the snapshots' directories, ending in "/": "http://mn:7070/boot/".
  public var base: String
  /// The snapshot's directory as a segment of a URL: "compute@13".
  public var directory: String
  /// The name of the root image; nil for the one that nodes load by default.
  public var rootImage: String?
  /// The node that boots; nil for any.
  public var node: String?

  /// Creates a request.
  public init(base: String, directory: String) {
    self.base = base
    self.directory = directory
  }
}

extension Workspace {
  /// Returns the iPXE script that boots a snapshot.
  /// - Throws: `ImageError` (`pathNotFound`) for an image that cannot boot this way; `XCATError`.
  public func bootScript(
    for snapshot: CommittedSnapshot, _ request: BootScriptRequest
  ) throws -> String {
    try BootScriptWriter(context).script(snapshot, request)
  }
}

/// Writes boot scripts.
struct BootScriptWriter: Collaborator {
  let context: Context

  func script(_ snapshot: CommittedSnapshot, _ request: BootScriptRequest) throws -> String {
    let list = try BootFileLister(context).list(snapshot)
    if let obstacle = list.bootObstacle {
      throw ImageError(
        .pathNotFound, "boot file \(snapshot.name)/ipxe", "is not available: \(obstacle)",
        hint: list.files.isEmpty ? "" : "It has " + list.files.map(\.name).joined(separator: ", "))
    }
    let root = try list.file(request.rootImage ?? list.rootImage ?? "rootimg.cpio.gz")
    guard root.kind == .rootImage else {
      throw ImageError(.usage, "rootimg=\(printable(root.name.utf8))", "is not a root image")
    }
    let state = snapshot.snapshot
    var parameters = NetbootParameters.Request(
      image: state.image, definition: state.definition,
      imageURL: request.base + request.directory + "/" + root.name, node: request.node)
    parameters.makesPartitions = try makesPartitions(state)
    let words = try NetbootParameters(parameters, context.tables()).words
    return """
      #!ipxe
      # \(printable(snapshot.name.utf8)), \(snapshot.id.hex)
      kernel ../\(request.directory)/kernel \((["initrd=initrd"] + words).joined(separator: " "))
      initrd ../\(request.directory)/\(BootFileLister.ramdiskAlias)
      boot

      """
  }

  /// Returns whether the snapshot's partition file is a script, or enables partitions.
  private func makesPartitions(_ state: Snapshot) throws -> Bool {
    guard let value = state.definition.linuximage["partitionfile"] else { return false }
    if value.hasPrefix("s:") { return true }
    guard let component = state.component(at: Array(value.utf8)),
      let file = state.components.followed(component)?.entry,
      case .file(let blob, let size) = file.content, size <= 1 << 20
    else { return false }
    var text: [UInt8] = []
    try context.store().read(blob, sizeBytes: size) { text += $1 }
    return text.firstRange(of: Array("enable=yes".utf8)) != nil
  }
}

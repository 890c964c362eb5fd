// imgstore define: sets attributes of an image in xCAT's tables.

import Platform
import Store
import XCAT

extension Workspace {
  /// Sets attributes of an image in xCAT's tables. Creates the image if it is new.
  /// - Parameter assignments: "attr=value" each; an empty value removes the attribute.
  /// - Returns: the new definition.
  /// - Throws: `ImageError`: `imageNotFound` if there is nothing to define, `usage` for a malformed
  ///   assignment; `XCATError` for an unknown attribute.
  public func define(_ name: String, _ assignments: [String]) throws -> ImageDefinition {
    try DefinitionEditor(context).define(name, assignments)
  }

  /// Returns the content of a file, or of standard input if the name is "-".
  /// - Throws: `SystemError`; EFBIG for more than 64 MiB.
  public func readInput(_ name: String) throws -> [UInt8] {
    let limit = 64 << 20
    let files = context.fileSystem
    if name != "-" {
      return try files.readSmallFile(
        at: files.workingDirectory, Array(name.utf8), limitBytes: limit)
    }
    var bytes: [UInt8] = []
    var buffer = [UInt8](repeating: 0, count: 64 << 10)
    while true {
      let n = try buffer.withUnsafeMutableBytes { try files.read(0, into: $0) }
      if n == 0 { return bytes }
      bytes += buffer[..<n]
      guard bytes.count <= limit else {
        throw SystemError(code: .tooLarge, "read", Array("standard input".utf8))
      }
    }
  }
}

/// Changes definitions.
struct DefinitionEditor: Collaborator {
  let context: Context

  func define(_ name: String, _ assignments: [String]) throws -> ImageDefinition {
    let image = try ImageName(name)
    let lock = try ImageLocks(context).lock(image, try context.store(create: true))
    defer { withExtendedLifetime(lock) {} }
    let tables = try context.tables()
    let old = try tables.definition(of: image.text)
    try DefinitionTextReader(context).requirePlain(image, tables)
    guard old != nil || !assignments.isEmpty else {
      throw ImageError(
        .imageNotFound, "image \(image)", "is not defined",
        hint: "Add attributes to define it; 'imgstore images' lists all images")
    }
    var definition = old ?? ImageDefinition(osimage: ["imagetype": "linux"])
    for assignment in assignments {
      guard let equals = assignment.firstIndex(of: "="), equals > assignment.startIndex else {
        throw ImageError(
          .usage, "argument '\(assignment)'", "is not of the form attribute=value",
          hint: "Write, for example, rootimgdir=/install/netboot/…")
      }
      let value = String(assignment[assignment.index(after: equals)...])
      guard !value.utf8.contains(where: { $0 < 0x20 || $0 == 0x7f }) else {
        throw ImageError(
          .usage, "argument '\(assignment)'",
          "contains a control character, which xCAT's tables cannot store")
      }
      try definition.set(String(assignment[..<equals]), value)
    }
    if definition != old {
      let changes = definition.rowChanges(of: image.text)
      DefinitionTextReader(context).warnAboutUnsafeValues(changes, known: old)
      try LiveRows(context).applyRows(changes)
    }
    return definition
  }
}

// imgstore define: sets attributes of an image in xCAT's tables.

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

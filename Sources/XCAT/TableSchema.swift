// The two tables that define an image, column by column as today's xCAT has them (xcat.md
// section 5). An existing file may have more, fewer or other columns: files are addressed by name,
// and these lists serve for making new ones and for placing attributes.

/// A table of xCAT's.
public struct TableSchema: Sendable {
  public let name: String
  public let columns: [String]
  /// Types other than TEXT.
  let types: [String: String]

  public static let osimage = TableSchema(
    name: "osimage",
    columns: [
      "imagename", "groups", "profile", "imagetype", "description", "provmethod", "rootfstype",
      "nfsrootopts", "osdistroname", "osupdatename", "cfmdir", "osname", "osvers", "osarch",
      "synclists", "postscripts", "postbootscripts", "serverrole", "isdeletable", "kitcomponents",
      "environvar", "comments", "disable",
    ],
    types: ["imagename": "VARCHAR(128) ", "osupdatename": "VARCHAR(1024)"])

  public static let linuximage = TableSchema(
    name: "linuximage",
    columns: [
      "imagename", "template", "boottarget", "addkcmdline", "pkglist", "pkgdir", "otherpkglist",
      "otherpkgdir", "exlist", "postinstall", "rootimgdir", "kerneldir", "nodebootif", "otherifce",
      "netdrivers", "kernelver", "krpmver", "permission", "dump", "crashkernelsize",
      "partitionfile", "driverupdatesrc", "comments", "disable",
    ],
    types: ["imagename": "VARCHAR(128) "])

  /// The statement that makes the table, as xCAT writes it.
  var createStatement: String {
    let lines = columns.map { "  \($0) \(types[$0] ?? "TEXT")" }
    return "CREATE TABLE \(name) (\n" + lines.joined(separator: ",\n")
      + ",\n  PRIMARY KEY (\(columns[0]))\n)"
  }

  /// The table that an attribute of `lsdef`/`chdef` lives in; nil for one we do not know.
  public static func table(of attribute: String) -> (schema: TableSchema, column: String)? {
    if attribute == "usercomment" { return (linuximage, "comments") }
    if ["imagename", "comments", "disable"].contains(attribute) { return nil }
    if osimage.columns.contains(attribute) { return (osimage, attribute) }
    if linuximage.columns.contains(attribute) { return (linuximage, attribute) }
    return nil
  }
}

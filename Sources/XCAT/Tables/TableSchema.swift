// The tables that imgstore uses, column by column as in today's xCAT (docs/xcat-contract.md#tables).
// An existing file may have more, fewer or other columns. Files are therefore addressed by name; these
// lists serve to create new ones and to find the table of an attribute.

/// A table of xCAT.
public struct TableSchema: Sendable, Hashable {
  public let name: String
  public let columns: [String]
  /// The key columns.
  public let keys: [String]
  /// The key columns that may not be NULL.
  let required: Set<String>
  /// The types other than TEXT, and other than the VARCHAR(128) of keys.
  let types: [String: String]

  /// Creates a schema.
  /// - Parameter columns: without `comments` and `disable`, which every table ends with.
  init(
    _ name: String, keys: [String], required: Set<String> = [], types: [String: String] = [:],
    _ columns: String
  ) {
    self.name = name
    self.keys = keys
    self.required = required
    self.types = types
    self.columns = columns.split(separator: " ").map(String.init) + ["comments", "disable"]
  }

  public static let osimage = TableSchema(
    "osimage", keys: ["imagename"], types: ["osupdatename": "VARCHAR(1024)"],
    "imagename groups profile imagetype description provmethod rootfstype nfsrootopts "
      + "osdistroname osupdatename cfmdir osname osvers osarch synclists postscripts "
      + "postbootscripts serverrole isdeletable kitcomponents environvar")

  public static let linuximage = TableSchema(
    "linuximage", keys: ["imagename"],
    "imagename template boottarget addkcmdline pkglist pkgdir otherpkglist otherpkgdir exlist "
      + "postinstall rootimgdir kerneldir nodebootif otherifce netdrivers kernelver krpmver "
      + "permission dump crashkernelsize partitionfile driverupdatesrc")

  public static let litefile = TableSchema(
    "litefile", keys: ["image", "file"], required: ["image", "file"], "image file options")

  public static let kit = TableSchema(
    "kit", keys: ["kitname"],
    "kitname basename description version release ostype isinternal kitdeployparams kitdir")

  public static let kitrepo = TableSchema(
    "kitrepo", keys: ["kitreponame"],
    "kitreponame kitname osbasename osmajorversion osminorversion osarch compat_osbasenames "
      + "kitrepodir")

  public static let kitcomponent = TableSchema(
    "kitcomponent", keys: ["kitcompname"],
    "kitcompname description kitname kitreponame basename version release serverroles kitpkgdeps "
      + "prerequisite driverpacks kitcompdeps postbootscripts genimage_postinstall exlist")

  public static let postscripts = TableSchema(
    "postscripts", keys: ["node"], "node postscripts postbootscripts")

  public static let nodelist = TableSchema(
    "nodelist", keys: ["node"],
    "node groups status statustime appstatus appstatustime primarysn hidden updatestatus "
      + "updatestatustime zonename")

  public static let nodegroup = TableSchema(
    "nodegroup", keys: ["groupname"], "groupname grouptype members membergroups wherevals")

  public static let nodetype = TableSchema(
    "nodetype", keys: ["node"], "node os arch profile provmethod supportedarchs nodetype")

  /// Directory images. The table is imgstore's own, in the store; xCAT has no such table.
  public static let directory = TableSchema(
    "directory", keys: ["imagename"], "imagename path exclude")

  public static let site = TableSchema("site", keys: ["key"], "key value")

  /// Every table of xCAT in this list.
  public static let all = [
    osimage, linuximage, litefile, kit, kitrepo, kitcomponent, postscripts, nodelist, nodegroup,
    nodetype, site,
  ]

  /// Returns the table of that name; nil if it is unknown.
  public static func named(_ name: String) -> TableSchema? {
    name == directory.name ? directory : all.first { $0.name == name }
  }

  /// Returns the statement that creates the table, as xCAT writes it.
  /// - Parameter database: the name of the attached file; SQLite keeps it out of the stored schema.
  func createStatement(in database: String) -> String {
    let lines = columns.map { column in
      let type = keys.contains(column) ? "VARCHAR(128) " : types[column] ?? "TEXT"
      return "  \(column) \(type)" + (required.contains(column) ? " NOT NULL" : "")
    }
    return "CREATE TABLE \(database).\(name) (\n" + lines.joined(separator: ",\n")
      + ",\n  PRIMARY KEY (\(keys.joined(separator: ",")))\n)"
  }

  /// Returns the table of an attribute of `lsdef` and `chdef`; nil if it is unknown.
  public static func table(of attribute: String) -> (schema: TableSchema, column: String)? {
    if attribute == "usercomment" { return (linuximage, "comments") }
    if ["imagename", "comments", "disable"].contains(attribute) { return nil }
    if osimage.columns.contains(attribute) { return (osimage, attribute) }
    if linuximage.columns.contains(attribute) { return (linuximage, attribute) }
    return nil
  }
}

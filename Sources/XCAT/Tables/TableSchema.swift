// The tables that we write, column by column as today's xCAT has them (xcat.md section 5). An
// existing file may have more, fewer or other columns: files are addressed by name, and these lists
// serve for making new ones and for placing attributes.

/// A table of xCAT's.
public struct TableSchema: Sendable, Hashable {
  public let name: String
  public let columns: [String]
  /// The columns that tell rows apart.
  public let keys: [String]
  /// Key columns that may not be NULL.
  let required: Set<String>
  /// Types other than TEXT, and other than the VARCHAR(128) of keys.
  let types: [String: String]

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

  /// Images that are a directory of their own. The table is imgstore's and lies in the store: xCAT has none such.
  public static let directory = TableSchema(
    "directory", keys: ["imagename"], "imagename path exclude")

  public static let site = TableSchema("site", keys: ["key"], "key value")

  /// Every table of xCAT's here.
  public static let all = [
    osimage, linuximage, litefile, kit, kitrepo, kitcomponent, postscripts, nodelist, nodegroup,
    nodetype, site,
  ]

  public static func named(_ name: String) -> TableSchema? {
    name == directory.name ? directory : all.first { $0.name == name }
  }

  /// The statement that makes the table, as xCAT writes it.
  /// - Parameter database: the name that the file was attached under; SQLite keeps it out of the
  ///   stored schema.
  func createStatement(in database: String) -> String {
    let lines = columns.map { column in
      let type = keys.contains(column) ? "VARCHAR(128) " : types[column] ?? "TEXT"
      return "  \(column) \(type)" + (required.contains(column) ? " NOT NULL" : "")
    }
    return "CREATE TABLE \(database).\(name) (\n" + lines.joined(separator: ",\n")
      + ",\n  PRIMARY KEY (\(keys.joined(separator: ",")))\n)"
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

// The grammar of each column that a bundle can fill, from the descriptions in xCAT's Schema.pm and the
// shell lines that its commands make of the values (docs/xcat-contract.md#values-in-shell-lines).

extension TableSchema {
  /// Returns the grammar of a column's values; for an unknown column the narrowest one, a word.
  public func grammar(of column: String) -> ValueGrammar { ownGrammar(of: column) ?? .word }

  /// Returns the grammar of a column; nil for an unknown column.
  public func ownGrammar(of column: String) -> ValueGrammar? {
    TableSchema.grammars[name]?[column] ?? TableSchema.common[column]
  }

  /// Scripts below the directory of postscripts, with arguments.
  private static let scripts = ValueGrammar.list(.script(.relativePath))
  /// Files of a kit: rmkit removes `/install/postscripts/$file`, word by word.
  private static let kitFiles = ValueGrammar.list(.name)
  /// Local directories, and mirrors of Ubuntu with their suites.
  private static let packageDirectories = ValueGrammar.list(.either(.path, .mirror))

  private static let common: [String: ValueGrammar] = [
    "comments": .prose, "description": .prose, "disable": .word,
  ]

  private static let grammars: [String: [String: ValueGrammar]] = [
    "osimage": [
      "imagename": .name, "groups": .spacedList(.name), "profile": .name, "imagetype": .name,
      "provmethod": .name, "rootfstype": .name, "nfsrootopts": .list(.word),
      "osdistroname": .name, "osupdatename": .list(.name), "cfmdir": .path, "osname": .name,
      "osvers": .name, "osarch": .name, "synclists": .list(.path), "postscripts": scripts,
      "postbootscripts": scripts, "serverrole": .list(.name), "isdeletable": .word,
      "kitcomponents": .list(.name), "environvar": .list(.assignment),
    ],
    "linuximage": [
      "imagename": .name, "template": .list(.path), "boottarget": .name, "addkcmdline": .words,
      "pkglist": .list(.path), "pkgdir": packageDirectories, "otherpkglist": .list(.path),
      "otherpkgdir": packageDirectories, "exlist": .list(.path),
      "postinstall": .list(.script(.path)), "rootimgdir": .path, "kerneldir": .path,
      "nodebootif": .name, "otherifce": .list(.name), "netdrivers": .list(.relativePath),
      "kernelver": .name, "krpmver": .name, "permission": .mode, "dump": .word,
      "crashkernelsize": .word,
      "partitionfile": .list(.prefixed(["s:", "d:", "c:"], .path)),
      "driverupdatesrc": .list(.prefixed(["dud:", "rpm:"], .path)),
    ],
    "directory": ["imagename": .name, "path": .directory],
    "litefile": [
      "image": .name, "file": .path, "options": .oneOf(LiteOptions.valid),
    ],
    "kit": [
      "kitname": .name, "basename": .name, "version": .name, "release": .name, "ostype": .name,
      "isinternal": .name, "kitdeployparams": .name, "kitdir": .path,
    ],
    "kitrepo": [
      "kitreponame": .name, "kitname": .name, "osbasename": .name, "osmajorversion": .comparison,
      "osminorversion": .comparison, "osarch": .name, "compat_osbasenames": .list(.name),
      "kitrepodir": .path,
    ],
    "kitcomponent": [
      "kitcompname": .name, "kitname": .name, "kitreponame": .name, "basename": .name,
      "version": .name, "release": .name, "serverroles": .list(.name), "kitpkgdeps": .comparison,
      "prerequisite": .list(.name), "driverpacks": .list(.name), "kitcompdeps": .comparison,
      "postbootscripts": kitFiles, "genimage_postinstall": kitFiles, "exlist": .name,
    ],
    "postscripts": ["node": .name, "postscripts": scripts, "postbootscripts": scripts],
  ]
}

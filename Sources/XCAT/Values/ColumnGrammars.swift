// The grammar of each column that a bundle can fill, after the descriptions in xCAT's Schema.pm and the lines
// that its commands make of the values.

extension TableSchema {
  /// The grammar of a column's values; words for a column that is not known here.
  public func grammar(of column: String) -> ValueGrammar {
    TableSchema.grammars[name]?[column] ?? TableSchema.common[column] ?? .words
  }

  private static let scripts = ValueGrammar.list(.script(.word))
  /// Local folders, and mirrors of Ubuntu's with their suites.
  private static let packageFolders = ValueGrammar.list(.either(.path, .mirror))

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
      "pkglist": .list(.path), "pkgdir": packageFolders, "otherpkglist": .list(.path),
      "otherpkgdir": packageFolders, "exlist": .list(.path),
      "postinstall": .list(.script(.path)), "rootimgdir": .path, "kerneldir": .path,
      "nodebootif": .word, "otherifce": .list(.word), "netdrivers": .list(.word),
      "kernelver": .word, "krpmver": .word, "permission": .mode, "dump": .word,
      "crashkernelsize": .word,
      "partitionfile": .list(.prefixed(["s:", "d:", "c:"], .path)),
      "driverupdatesrc": .list(.prefixed(["dud:", "rpm:"], .path)),
    ],
    "litefile": [
      "image": .name, "file": .path, "options": .oneOf(LiteOptions.valid),
    ],
    "kit": [
      "kitname": .name, "basename": .name, "version": .word, "release": .word, "ostype": .word,
      "isinternal": .word, "kitdeployparams": .words, "kitdir": .path,
    ],
    "kitrepo": [
      "kitreponame": .name, "kitname": .name, "osbasename": .name, "osmajorversion": .comparison,
      "osminorversion": .comparison, "osarch": .name, "compat_osbasenames": .list(.name),
      "kitrepodir": .path,
    ],
    "kitcomponent": [
      "kitcompname": .name, "kitname": .name, "kitreponame": .name, "basename": .name,
      "version": .word, "release": .word, "serverroles": .list(.name), "kitpkgdeps": .comparison,
      "prerequisite": .comparison, "driverpacks": .list(.word), "kitcompdeps": .comparison,
      "postbootscripts": scripts, "genimage_postinstall": scripts, "exlist": .word,
    ],
    "postscripts": ["node": .name, "postscripts": scripts, "postbootscripts": scripts],
  ]
}

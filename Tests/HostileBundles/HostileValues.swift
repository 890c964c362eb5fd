// Values for columns of xCAT's tables that do not fit them, a bundle a column and value: what a shell of xCAT's would
// take for several words, for an option, for a pattern, or for another directory.

private let directory = BundleDraft.directory

extension HostileBundle {
  /// One bundle for each column and each of its values.
  static let values: [HostileBundle] =
    columns.flatMap { table, column, values in
      values.map { value in
        let name = "\(table).\(column) with \(value.debugDescription)"
        return HostileBundle(name, words: [column]) {
          if table == "osimage" || table == "linuximage" {
            var draft = BundleDraft()
            if table == "osimage" { draft.manifest.osimage[column] = value }
            if table == "linuximage" { draft.manifest.linuximage[column] = value }
            return draft.bundle()
          }
          return kitBundle(table, column, value)
        }
      }
    } + rows

  private static let badNames = ["a b", "$(id)", "-rf", "a*"]
  private static let badWords = ["a b", "`id`", "--help", "?x"]
  private static let badScripts = ["a;id", "../../root/x", "/etc/x", "~root"]
  private static let badPaths = [
    "/install/a /etc", "relative", "/install/../etc/x", "/install/{a,b}",
  ]

  private static let columns: [(table: String, column: String, values: [String])] = [
    ("osimage", "groups", badNames), ("osimage", "imagetype", ["linux x", "-x"]),
    ("osimage", "provmethod", ["netboot x", "-netboot", "net*"]),
    ("osimage", "rootfstype", ["nfs;id", "-nfs"]), ("osimage", "nfsrootopts", badWords),
    ("osimage", "osdistroname", badNames), ("osimage", "osupdatename", badNames),
    ("osimage", "cfmdir", badPaths), ("osimage", "osname", badNames),
    ("osimage", "osvers", ["a b", "-x", "~"]),
    ("osimage", "osarch", ["x86 64", "$x", "-a"]), ("osimage", "profile", ["a b", "#x", "!x"]),
    ("osimage", "synclists", ["/install/a /etc", "/install/*"]),
    ("osimage", "postscripts", badScripts),
    ("osimage", "postbootscripts", badScripts), ("osimage", "serverrole", badNames),
    ("osimage", "isdeletable", badWords), ("osimage", "kitcomponents", badNames),
    ("osimage", "environvar", ["A=1 B=2", "A", "1=x", "A=$(id)", "=x", "A=`id`"]),
    ("osimage", "disable", ["a b", "-x"]),
    ("linuximage", "template", ["relative", "/install/a b"]),
    ("linuximage", "boottarget", badNames),
    ("linuximage", "addkcmdline", ["quiet $(id)", "-x", "a\"b", "quiet 'x", "a=*"]),
    ("linuximage", "pkgdir", ["/a b", "ftp://m /etc main", "relative", "http://m/u;id"]),
    ("linuximage", "otherpkgdir", ["/a b", "file:/x /etc", "-x", "http://m/u -rf"]),
    ("linuximage", "kerneldir", badPaths), ("linuximage", "nodebootif", badNames + ["../x"]),
    ("linuximage", "otherifce", badNames),
    ("linuximage", "netdrivers", ["e1000 x", "-x", "../x.ko", "*"]),
    ("linuximage", "kernelver", ["5.14 x", "../../../etc", "$(uname)"]),
    ("linuximage", "krpmver", ["5 x", "../x", "-x"]),
    ("linuximage", "permission", ["u+s", "77777", "-755"]),
    ("linuximage", "dump", badWords), ("linuximage", "crashkernelsize", badWords),
    ("linuximage", "driverupdatesrc", ["dud:x", "rpm:/a b", "dud:/a/../../etc/x"]),
    ("linuximage", "disable", ["$x"]),
    ("kit", "basename", badNames), ("kit", "version", ["1 0", "../1"]),
    ("kit", "release", ["1 0", "-1"]),
    ("kit", "ostype", badNames), ("kit", "isinternal", ["1 0", "$x"]),
    ("kit", "kitdeployparams", ["../../x", "a b", "-x"]),
    ("kitrepo", "osbasename", badNames), ("kitrepo", "osmajorversion", ["8;id", "-8"]),
    ("kitrepo", "osminorversion", ["$x", "-1"]), ("kitrepo", "osarch", badNames),
    ("kitrepo", "compat_osbasenames", badNames),
    ("kitcomponent", "kitreponame", ["a b", "-rf"]), ("kitcomponent", "basename", badNames),
    ("kitcomponent", "version", ["1 0", "../1"]), ("kitcomponent", "release", ["1 0", "../1"]),
    ("kitcomponent", "serverroles", badNames),
    ("kitcomponent", "kitpkgdeps", ["a;id", "-x", "a*"]),
    ("kitcomponent", "prerequisite", ["a;id", "-x"]),
    ("kitcomponent", "driverpacks", ["../x.rpm", "a b"]),
    ("kitcomponent", "kitcompdeps", ["$x", "-x"]),
    // rmkit removes these below /install/postscripts, word by word.
    (
      "kitcomponent", "postbootscripts",
      ["x /etc", "../../etc", "a,b /etc", "-x", "a/../../../etc"]
    ),
    ("kitcomponent", "genimage_postinstall", ["x /etc", "../../etc", "a,b /etc", "*"]),
    ("kitcomponent", "exlist", ["../../../etc/shadow", "a b"]),
  ]

  private static func kitBundle(_ table: String, _ column: String, _ value: String) -> [UInt8] {
    let (element, key) =
      switch table {
      case "kit": ("kit", "<kitname>k1</kitname><kitdir>/install/kits/k1</kitdir>")
      case "kitrepo":
        (
          "kitrepo",
          "<kitreponame>r9</kitreponame><kitname>k1</kitname><kitrepodir>/install/kits/k1/repos/r9</kitrepodir>"
        )
      default: ("kitcomp", "<kitcompname>c9</kitcompname><kitname>k1</kitname>")
      }
    var draft = BundleDraft.withDirectories
    if table == "kit" { draft.manifest.lines.removeFirst() }
    let text = value.replacing("&", with: "&amp;").replacing("<", with: "&lt;")
    draft.manifest.lines.append("<\(element)>\(key)<\(column)>\(text)</\(column)></\(element)>")
    return draft.bundle()
  }

  /// Rows of litefile.csv.
  private static let rows: [HostileBundle] =
    [
      "/etc/x y", "/etc/?osts", "/etc/[a-z]", "/etc/{a,b}", "/etc/$HOME", "/etc/`id`", "/etc/;id",
      "/etc/|id", "/etc/>x", "/etc/x'", "/etc/#x", "/etc/!x", "/etc/~root", "/etc/(x)", "/etc/a\\b",
      "/etc/x -rf",
    ].map { row("litefile.file with \($0.debugDescription)", "litefile.file", $0, "tmpfs") }
    + [
      "rw,evil", "tmpfs rw", "link;id", "--help", "persistent,ro", "bind", "RW", "*", "$(id)",
      "con,con",
    ].map { row("litefile.options with \($0.debugDescription)", "litefile.options", "/etc/x", $0) }

  private static func row(
    _ name: String, _ word: String, _ file: String, _ options: String
  ) -> HostileBundle {
    HostileBundle(name, words: ["litefile.csv, line 1", word]) {
      var draft = BundleDraft.statelite(tree: gzip(goodTree { _ in }))
      draft.files.removeAll { $0.name == "litefile.csv" }
      draft.files.append(("litefile.csv", Array("\"i\",\"\(file)\",\"\(options)\",,\n".utf8)))
      return draft.bundle()
    }
  }
}

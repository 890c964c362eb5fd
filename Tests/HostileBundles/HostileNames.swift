// Names that look like others or steer a terminal, names of ours and of other systems, and files of the site where
// the bundle brings its own.

private let directory = BundleDraft.directory
private let side = "./\(BundleDraft.directory)/extra/install/side"
private let kit = "./\(BundleDraft.directory)/k1"

extension HostileBundle {
  static let confusable: [HostileBundle] = imageNames + steering

  /// Names for an image that look like another's, or like nothing.
  private static let imageNames: [HostileBundle] =
    [
      "tiny\u{200b}", "ti\u{200d}ny", "\u{feff}tiny", "tiny\u{e0061}", "ti\u{ad}ny", "tiny\u{301}",
      "t\u{456}ny",
      "\u{442}iny", "ｔiny", "ti\u{a0}ny", "ti ny", "tiny\u{3164}", "tiny\u{2800}", "tiny\u{fe0f}",
      "tinÿ",
      "tiny,x", "tiny=x", "tiny%", "~tiny", "tiny*", "$tiny", "tiny\u{ff0e}x", "tiny\u{2215}x",
    ].map { image in
      let shown = image.unicodeScalars.map { String($0.value, radix: 16) }.joined(separator: " ")
      return HostileBundle("an image called \(shown)", words: []) {
        var draft = BundleDraft()
        draft.manifest.osimage["imagename"] = image
        draft.manifest.linuximage["imagename"] = image
        return draft.bundle()
      }
    }

  private static let steeringScalars: [Unicode.Scalar] = [
    "\u{1}", "\u{7}", "\u{8}", "\u{b}", "\u{c}", "\r", "\u{e}", "\u{1f}", "\u{7f}", "\u{85}",
    "\u{90}", "\u{9c}",
    "\u{200e}", "\u{200f}", "\u{61c}", "\u{2028}", "\u{2029}", "\u{202a}", "\u{202d}", "\u{2067}",
    "\u{2069}",
  ]

  /// Names of members, extras and kits that steer a terminal or turn the direction of text.
  private static let steering: [HostileBundle] = steeringScalars.flatMap { scalar in
    let code = String(scalar.value, radix: 16)
    return [
      HostileBundle("U+\(code) in the name of an extra's file", "control character") {
        BundleDraft.withDirectories.bundle { $0.file("\(side)/a\(scalar)b", "x") }
      },
      HostileBundle("U+\(code) in a description", "control character") {
        var draft = BundleDraft()
        // Characters that XML cannot hold are an error of its parser.
        draft.manifest.osimage["description"] = "a\(scalar.value < 0x20 ? "\u{9d}" : scalar)b"
        return draft.bundle()
      },
      HostileBundle("U+\(code) in the target of a kit's link", "control character") {
        BundleDraft.withDirectories.bundle {
          $0.header("\(kit)/other_files/l", type: "2", link: "a\(scalar)b")
        }
      },
    ]
  }

  /// Members that bundles of other programs have in addition to xCAT's. They are skipped.
  static let unasked: [HostileBundle] =
    [
      ".DS_Store", "._kernel", "extra/.DS_Store", "extra/._tinyscript",
      ".imgstore-0123456789abcdef", "journal",
      "index.sqlite", "format", "packs", "refs", "lease-0", "KERNEL", "Manifest.xml", "kernel~",
      ".kernel.swp",
      "kernel.part", "core", "lost+found", "signatures", "signature.sig", "manifest.xml.sig",
      "complete/signatures",
    ].map { name in
      HostileBundle(
        "a member \(name) that nobody asked for",
        outcome: .imported(
          absent: [
            "\(ManifestDraft.boot)/\(name)", "\(ManifestDraft.custom)/\(name)", "/install/\(name)",
            "/install/postscripts/\(name)",
          ].filter { $0 != "\(ManifestDraft.boot)/kernel" }, plain: [])
      ) {
        BundleDraft().bundle { $0.file("./\(directory)/\(name)", "planted\n") }
      }
    }

  /// Destinations that differ by case only, and names of files of ours: they are names as all others.
  static let twins: [HostileBundle] = [
    HostileBundle(
      "extras that differ by case", outcome: .imported(absent: [], plain: ["/install/custom/TWIN"])
    ) {
      var draft = BundleDraft()
      draft.manifest.extras += [
        ("/install/custom/twin", "/install/custom"), ("/install/custom/TWIN", "/install/custom"),
      ]
      draft.files += [("extra/twin", [1]), ("extra/TWIN", [2])]
      return draft.bundle()
    },
    HostileBundle("an extra twice, with two contents", "same path", "differ") {
      var draft = BundleDraft()
      draft.manifest.extras += [
        ("/install/a/twin", "/install/custom"), ("/install/b/twin2/", "/install/custom"),
      ]
      draft.manifest.extras[2].source = "/install/b/twin2"
      draft.manifest.extras[2].destination = "/install/custom"
      draft.files += [("extra/twin", [1]), ("extra/twin2", [2])]
      draft.manifest.linuximage["pkglist"] = "/install/custom/twin"
      draft.files.append(("twin", [3]))
      return draft.bundle()
    },
    HostileBundle("an extra below another extra", "below") {
      var draft = BundleDraft()
      draft.manifest.extras += [("/x/up", "/install/custom"), ("/x/down", "/install/custom/up")]
      draft.files += [("extra/up", [1]), ("extra/down", [2])]
      return draft.bundle()
    },
    HostileBundle("an extra over the image's kernel", "same path", "differ") {
      var draft = BundleDraft()
      draft.manifest.extras.append(("/x/kernel", ManifestDraft.boot))
      draft.files.append(("extra/kernel", [1]))
      return draft.bundle()
    },
    HostileBundle("a list over a script", "same path", "differ") {
      var draft = BundleDraft()
      draft.manifest.linuximage["exlist"] = "/install/postscripts/tinyscript"
      draft.files.append(("tinyscript", [1]))
      return draft.bundle()
    },
    HostileBundle("a hard link in an extra to a file of a kit that is outside of it", "absolute") {
      BundleDraft.withDirectories.bundle {
        $0.header("\(side)/evil", type: "1", link: "/install/kits/k1/kit.conf")
      }
    },
    HostileBundle("a hard link in a kit up and out", "leads out") {
      BundleDraft.withDirectories.bundle {
        $0.header("\(kit)/evil", type: "1", link: "./\(directory)/../../etc/shadow")
      }
    },
    HostileBundle("a hard link in a kit to the manifest", "not an earlier file") {
      BundleDraft.withDirectories.bundle {
        $0.header("\(kit)/evil", type: "1", link: "./\(directory)/manifest.xml")
      }
    },
  ]

  /// Files of the site's that belong to no image (`HostileTests` plants them).
  static let foreign: [HostileBundle] = [
    foreignFile("a script that every node runs", "/install/postscripts/syslog") { draft in
      draft.manifest.extras.append(("/x/syslog", "/install/postscripts"))
      draft.files.append(("extra/syslog", Array("EVIL\n".utf8)))
    },
    foreignFile("a script that every node runs, in a folder", "/install/postscripts/syslog") {
      draft in
      draft.manifest.extras.append(("/x/scripts", "/install/postscripts"))
      draft.files.append(("extra/x/scripts/syslog", Array("EVIL\n".utf8)))
    },
    foreignFile("a package that images are made of", "/install/rhels9/x86_64/a.rpm") { draft in
      draft.manifest.extras.append(("/x/a.rpm", "/install/rhels9/x86_64"))
      draft.files.append(("extra/a.rpm", Array("EVIL\n".utf8)))
    },
    foreignFile("a list of the site's", "\(ManifestDraft.custom)/site.pkglist") { draft in
      draft.manifest.linuximage["pkglist"] = "\(ManifestDraft.custom)/site.pkglist"
      draft.files.append(("site.pkglist", Array("evil\n".utf8)))
    },
    foreignFile("a file of a kit that the site has", "/install/kits/site") { draft in
      draft.manifest.lines = [
        "<kit><kitname>site</kitname><kitdir>/install/kits/site</kitdir></kit>"
      ]
      draft.files.append(("site/kit.conf", Array("EVIL\n".utf8)))
    },
    foreignFile(
      "a kernel that belongs to no image", "/install/netboot/rhels9/x86_64/other/kernel"
    ) {
      draft in
      let boot = "/install/netboot/rhels9/x86_64/other"
      draft.manifest.linuximage["rootimgdir"] = boot
      for key in ["kernel", "ramdisk", "rootimg"] {
        draft.manifest.values[key] = draft.manifest.values[key]?.replacing(
          ManifestDraft.boot, with: boot)
      }
    },
  ]

  private static func foreignFile(
    _ name: String, _ path: String, edit: @escaping @Sendable (inout BundleDraft) -> Void
  ) -> HostileBundle {
    HostileBundle("\(name), replaced", outcome: .foreignFile(path)) {
      var draft = BundleDraft()
      edit(&draft)
      return draft.bundle()
    }
  }
}

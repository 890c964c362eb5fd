// A small stateless bundle that imports, as a draft in which one thing is then made wrong.

/// A manifest to be: columns and values by name, any other lines, any frame around them.
public struct ManifestDraft: Sendable {
  public static let image = "rhels9-x86_64-netboot-tiny"
  public static let boot = "/install/netboot/rhels9/x86_64/tiny"
  public static let custom = "/install/custom/netboot/rh"

  public var osimage = [
    "imagename": ManifestDraft.image, "imagetype": "linux", "osarch": "x86_64", "osname": "Linux",
    "osvers": "rhels9", "profile": "tiny", "provmethod": "netboot",
    "synclists": "\(ManifestDraft.custom)/tiny.synclist",
  ]
  public var linuximage = [
    "imagename": ManifestDraft.image, "exlist": "\(ManifestDraft.custom)/tiny.exlist",
    "pkglist": "\(ManifestDraft.custom)/tiny.pkglist", "rootimgdir": ManifestDraft.boot,
    "postinstall": "\(ManifestDraft.custom)/tiny.postinstall",
    "otherpkglist": "\(ManifestDraft.custom)/tiny.otherpkgs.pkglist",
  ]
  public var values = [
    "kernel": "\(ManifestDraft.boot)/kernel",
    "ramdisk": "\(ManifestDraft.boot)/initrd-stateless.gz",
    "rootimg": "\(ManifestDraft.boot)/rootimg.cpio.gz",
  ]
  public var extras: [(source: String, destination: String)] = [
    ("/install/postscripts/tinyscript", "/install/postscripts")
  ]
  /// Written as they are, before the end tag.
  public var lines: [String] = []
  public var prolog = "<?xml version=\"1.0\"?>\n"
  public var root = "xcatimage"

  public init() {}

  /// The same image as statelite, with the members that xCAT's own has.
  public static var statelite: ManifestDraft {
    var draft = ManifestDraft()
    draft.osimage["provmethod"] = "statelite"
    draft.osimage["rootfstype"] = "nfs"
    draft.values["rootimg"] = nil
    draft.values["ramdisk"] = "\(boot)/initrd-statelite.gz"
    draft.values["rootimgtree"] = "\(boot)/rootimgtree.gz"
    draft.values["litefile"] = "\(boot)/litefile.csv"
    return draft
  }

  public var text: String {
    func escaped(_ value: String) -> String {
      var out = ""
      for scalar in value.unicodeScalars {
        switch scalar {
        case "&": out += "&amp;"
        case "<": out += "&lt;"
        default: out.unicodeScalars.append(scalar)
        }
      }
      return out
    }
    func lines(_ columns: [String: String]) -> String {
      columns.sorted { $0.key < $1.key }
        .map { "<\($0.key)>\(escaped($0.value))</\($0.key)>\n" }.joined()
    }
    var text = prolog + "<\(root)>\n"
    for extra in extras {
      text += "<extra><dest>\(escaped(extra.destination))</dest>"
      text += "<src>\(escaped(extra.source))</src></extra>\n"
    }
    text += "<linuximage>\n\(lines(linuximage))</linuximage>\n"
    text += "<osimage>\n\(lines(osimage))</osimage>\n" + lines(values)
    text += self.lines.map { $0 + "\n" }.joined()
    return text + "</\(root)>\n"
  }
}

/// A bundle to be.
public struct BundleDraft: Sendable {
  public static let directory = ManifestDraft.image

  public var manifest = ManifestDraft()
  /// The manifest's bytes, where they are not the draft's.
  public var manifestBytes: [UInt8]?
  /// By name inside the directory, in order.
  public var files: [(name: String, data: [UInt8])] = [
    ("tiny.exlist", Array("./usr/share/doc*\n".utf8)),
    ("tiny.pkglist", Array("bash\nkernel\n".utf8)),
    ("tiny.postinstall", Array("#!/bin/sh\ntrue\n".utf8)),
    ("tiny.otherpkgs.pkglist", Array("foo\n".utf8)),
    ("tiny.synclist", Array("/etc/hosts -> /etc/hosts\n".utf8)),
    ("kernel", [UInt8](repeating: 0x4b, count: 1500)),
    ("initrd-stateless.gz", [UInt8](repeating: 0x52, count: 700)),
    ("rootimg.cpio.gz", [UInt8](repeating: 0x43, count: 2048)),
    ("extra/tinyscript", Array("#!/bin/sh\ntrue\n".utf8)),
  ]

  public init() {}

  /// A synthetic statelite bundle for tests of its tree.
  public static func statelite(tree: [UInt8]) -> BundleDraft {
    var draft = BundleDraft()
    draft.manifest = .statelite
    draft.files.removeAll { $0.name.hasPrefix("initrd") || $0.name.hasPrefix("rootimg") }
    draft.files += [
      ("initrd-statelite.gz", [UInt8](repeating: 0x52, count: 700)), ("rootimgtree.gz", tree),
      ("litefile.csv", Array("\"\(directory)\",\"/etc/hosts\",\"tmpfs,rw\",,\n".utf8)),
    ]
    return draft
  }

  /// The archive, without its end: directory, manifest, files.
  public var tar: RawTar {
    var tar = RawTar()
    tar.directory("./\(BundleDraft.directory)/")
    tar.file(
      "./\(BundleDraft.directory)/manifest.xml", manifestBytes ?? Array(manifest.text.utf8))
    for file in files { tar.file("./\(BundleDraft.directory)/\(file.name)", file.data) }
    return tar
  }

  /// The whole bundle, with the members that `more` appends before the end of the archive.
  public func tar(adding more: (inout RawTar) -> Void) -> [UInt8] {
    var tar = tar
    more(&tar)
    tar.end()
    return tar.bytes
  }

  public func bundle(adding more: (inout RawTar) -> Void = { _ in }) -> [UInt8] {
    gzip(tar(adding: more))
  }

  /// The bundle without a file, which `more` may then put in, in a form of its own.
  public func replacing(_ name: String, by more: (inout RawTar) -> Void) -> [UInt8] {
    var draft = self
    draft.files.removeAll { $0.name == name }
    return draft.bundle(adding: more)
  }
}

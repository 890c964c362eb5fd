// Privileged files in bundles: in root trees of three forms, where images have them but an untrusted bundle must not
// bring them without permission, and outside the tree, where they are never needed.

private let directory = BundleDraft.directory
private let side = "./\(BundleDraft.directory)/extra/install/side"
private let kit = "./\(BundleDraft.directory)/k1"
private let capability: [UInt8] = [
  // Version 2, effective; cap_setuid and cap_sys_admin permitted.
  1, 0, 0, 2, 0x80, 0, 0x20, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
]

/// An entry of a tree that gives its privilege to any local user.
private struct Privilege: Sendable {
  let name: String
  /// Below the tree.
  let path: String
  var type: Character = "0"
  /// Permission bits, and those of privilege.
  var mode = 0o755
  var owner = 0
  var device: (major: Int, minor: Int)?
  var attributes: [(key: String, value: [UInt8])] = []

  var kindBits: Int {
    switch type {
    case "3": 0o20000
    case "4": 0o60000
    case "5": 0o40000
    default: 0o100000
    }
  }

  func add(to tar: inout RawTar, below top: String) {
    if !attributes.isEmpty { tar.rawPax(attributes.flatMap { paxRecord($0.key, $0.value) }) }
    let content = type == "0" ? Array("#!/bin/sh\nid\n".utf8) : []
    tar.header(
      "\(top)/\(path)" + (type == "5" ? "/" : ""), type: type, size: content.count, mode: mode
    ) {
      $0.putOctal(owner, at: 108, width: 8)
      if let device {
        $0.putOctal(device.major, at: 329, width: 8)
        $0.putOctal(device.minor, at: 337, width: 8)
      }
    }
    tar.content(content)
  }

  func add(to cpio: inout RawCpio) {
    cpio.entry(
      "rootimg/\(path)", mode: kindBits | mode, type == "0" ? Array("#!/bin/sh\nid\n".utf8) : [],
      uid: owner, device: device ?? (0, 0))
  }

  static let all: [Privilege] = [
    Privilege(name: "a shell that is setuid root", path: "sh", mode: 0o4755),
    Privilege(name: "a program that is setgid root", path: "etc/tool", mode: 0o2755),
    Privilege(name: "a program with both bits", path: "etc/both", mode: 0o6755),
    Privilege(name: "a program with all bits", path: "etc/all", mode: 0o7777),
    Privilege(name: "a setuid file that nobody may run", path: "etc/later", mode: 0o4644),
    Privilege(name: "a setuid file of a user's", path: "etc/his", mode: 0o4755, owner: 1000),
    Privilege(name: "a hidden setuid program", path: "etc/.hidden", mode: 0o4711),
    Privilege(
      name: "a setuid program called as one of ours", path: "etc/.imgstore-x", mode: 0o4755),
    Privilege(name: "a disk", path: "sda", type: "4", mode: 0o666, device: (8, 0)),
    Privilege(name: "a disk under another name", path: "etc/notes", type: "4", device: (259, 0)),
    Privilege(name: "the loop device", path: "loop0", type: "4", mode: 0o666, device: (7, 0)),
    Privilege(name: "the machine's memory", path: "mem", type: "3", mode: 0o666, device: (1, 1)),
    Privilege(name: "the kernel's memory", path: "kmem", type: "3", mode: 0o666, device: (1, 2)),
    Privilege(name: "the ports", path: "port", type: "3", mode: 0o666, device: (1, 4)),
    Privilege(
      name: "a null that is the memory", path: "null", type: "3", mode: 0o666, device: (1, 1)),
    Privilege(name: "a zero that is a disk", path: "zero", type: "4", mode: 0o666, device: (8, 1)),
    Privilege(name: "a network tunnel", path: "tun", type: "3", mode: 0o666, device: (10, 200)),
    Privilege(name: "the hypervisor", path: "kvm", type: "3", mode: 0o666, device: (10, 232)),
    Privilege(
      name: "a user's file system", path: "fuse", type: "3", mode: 0o666, device: (10, 229)),
    Privilege(
      name: "a disk by the raw interface", path: "sg0", type: "3", mode: 0o666, device: (21, 0)),
  ]

  /// Entries that cpio cannot represent.
  static let ofTar: [Privilege] = [
    Privilege(
      name: "a program with capabilities, by star's name", path: "etc/cap",
      attributes: [("SCHILY.xattr.security.capability", capability)]),
    Privilege(
      name: "a program with capabilities and bits", path: "etc/capbits", mode: 0o4755,
      attributes: [("SCHILY.xattr.security.capability", capability)]),
    Privilege(
      name: "a program with capabilities, by bsdtar's name", path: "etc/bsdcap",
      attributes: [
        ("LIBARCHIVE.xattr.security.capability", Array("AQAAAoAAIAAAAAAAAAAAAAAAAAA=".utf8))
      ]),
    Privilege(
      name: "capabilities for a user namespace's root", path: "etc/nscap",
      attributes: [
        (
          "SCHILY.xattr.security.capability",
          [1, 0, 0, 3] + capability.dropFirst(4) + [0xe8, 3, 0, 0]
        )
      ]),
  ]
}

extension HostileBundle {
  static let privileges: [HostileBundle] = inTrees + outsideTrees + devices

  private static let location = "\(ManifestDraft.boot)/rootimg"

  private static func tree(
    _ form: String, _ privilege: Privilege, make: @escaping @Sendable () -> [UInt8]
  ) -> HostileBundle {
    HostileBundle(
      "\(privilege.name), in a tree of \(form)",
      outcome: .privilegeInTree("\(location)/\(privilege.path)"), make: make)
  }

  private static let inTrees: [HostileBundle] =
    Privilege.all.map { privilege in
      tree("cpio", privilege) {
        BundleDraft.statelite(tree: gzip(goodTree { privilege.add(to: &$0) })).bundle()
      }
    }
    + (Privilege.all + Privilege.ofTar).map { privilege in
      tree("tar", privilege) {
        BundleDraft.statelite(
          tree: gzip(goodTarTree { privilege.add(to: &$0, below: "rootimg") })
        ).bundle()
      }
    }
    + (Privilege.all.filter { $0.mode & 0o7000 != 0 || $0.device != nil } + Privilege.ofTar).map {
      privilege in
      tree("a complete bundle", privilege) {
        var draft = BundleDraft()
        draft.manifest.lines = [closureLine("complete/rootimg.tar.zst", location, "tree")]
        let tree = RawZstd.stored(goodTarTree { privilege.add(to: &$0, below: "rootimg") })
        return draft.bundle { $0.file("./\(directory)/complete/rootimg.tar.zst", tree) }
      }
    }

  /// Files outside the tree lose their bits, capabilities and owners.
  private static let outsideTrees: [HostileBundle] =
    [
      ("an extra", "\(side)/sub", "/install/custom/side/sub"),
      ("a kit", "\(kit)/other_files", "/install/kits/k1/other_files"),
    ].flatMap { what, member, target in
      (Privilege.all.filter { $0.device == nil } + Privilege.ofTar).map { privilege in
        let flat = Privilege(
          name: privilege.name, path: "planted", mode: privilege.mode, owner: privilege.owner,
          attributes: privilege.attributes)
        return HostileBundle(
          "\(privilege.name), in \(what)",
          outcome: .imported(absent: [], plain: ["\(target)/planted"])
        ) {
          BundleDraft.withDirectories.bundle { flat.add(to: &$0, below: member) }
        }
      }
    }
    + ["extra/tinyscript", "kernel", "tiny.postinstall"].map { name in
      let target =
        switch name {
        case "kernel": "\(ManifestDraft.boot)/kernel"
        case "tiny.postinstall": "\(ManifestDraft.custom)/tiny.postinstall"
        default: "/install/postscripts/tinyscript"
        }
      return HostileBundle(
        "\(name) with bits, capabilities and an owner",
        outcome: .imported(absent: [], plain: [target])
      ) {
        BundleDraft().replacing(name) { tar in
          Privilege(
            name: "", path: name, mode: 0o7755, owner: 1000,
            attributes: [("SCHILY.xattr.security.capability", capability)]
          ).add(to: &tar, below: "./\(directory)")
        }
      }
    }

  /// Devices, fifos and sockets, wherever a bundle has files.
  private static let devices: [HostileBundle] =
    [
      ("the image's folder", "./\(directory)/evil"),
      ("the folder of extras", "./\(directory)/extra/evil"),
      ("an extra's folder", "\(side)/evil"), ("a folder in an extra", "\(side)/sub/evil"),
      ("a kit", "\(kit)/evil"), ("a kit's plugins", "\(kit)/plugins/evil"),
      ("the complete part", "./\(directory)/complete/evil"),
    ].flatMap { location, member in
      [("a disk", "4"), ("the memory", "3"), ("a fifo", "6")].map { kind, type in
        HostileBundle("\(kind) in \(location), unasked", "evil", "device or a fifo") {
          BundleDraft.withDirectories.bundle {
            $0.header(member, type: Character(type), mode: 0o666) {
              $0.putOctal(type == "4" ? 8 : 1, at: 329, width: 8)
            }
          }
        }
      }
    }
    + ["4", "3", "6"].map { type in
      HostileBundle("a kernel of type \(type)", "kernel", "device or a fifo") {
        BundleDraft().replacing("kernel") {
          $0.header("./\(directory)/kernel", type: Character(type), mode: 0o666)
        }
      }
    }
}

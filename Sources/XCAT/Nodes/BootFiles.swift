// The files of an image that nodeset and genimage copy for its nodes, and their destination (mknetboot
// and mkstatelite of anaconda.pm, sles.pm and debian.pm; genimage.pm;
// docs/xcat-contract.md#nodeset-and-boot-files). Nodes boot the copies.
//
//     ROOTIMGDIR/{kernel,initrd-…gz,hypervisor}  ──▶  TFTPDIR/xcat/osimage/NAME/
//
// 1. Only files that xCAT takes from the image's directory are listed. Nodes of an install image boot
//    kernel and ramdisk of the install media (vmlinuz, initrd.img), which are not files of the image.
// 2. Nodes without an image name (nodetype.provmethod "netboot") boot from another directory, by
//    operating system and profile; xCAT itself no longer supports that.

import Platform
import Store

/// A file of an image that nodes boot a copy of.
public struct BootFile: Sendable, Hashable {
  /// Kernel, ramdisk or hypervisor.
  public let role: Role
  /// The paths in the image's directory; xCAT takes the first that exists.
  public let sources: [AbsolutePath]
  /// The name of the copy.
  public let copyName: String
}

/// Determines which files are copied for the nodes of an image.
public enum BootFiles {
  /// The TFTP directory if site.tftpdir is unset.
  public static let defaultTFTPDirectory = "/tftpboot"

  /// Returns the files that nodes of the image boot copies of.
  public static func copied(
    of definition: ImageDefinition, installDirectory: AbsolutePath
  ) -> [BootFile] {
    guard definition.provisioning.isDiskless,
      let directory = ImageFiles.bootDirectory(definition, installDirectory: installDirectory)
    else { return [] }
    func file(_ role: Role, _ name: String, else other: String? = nil) -> BootFile {
      BootFile(
        role: role, sources: ([name] + [other].compactMap(\.self)).map { directory.appending($0) },
        copyName: name)
    }
    return [
      file(.kernel, "kernel"),
      // Old images have initrd.gz, which nodeset first copies to the newer name.
      file(.ramdisk, ramdisk(of: definition), else: "initrd.gz"),
      file(.hypervisor, "hypervisor"),
    ]
  }

  /// Returns the name of the ramdisk that nodes of the image boot.
  public static func ramdisk(of definition: ImageDefinition) -> String {
    guard definition.provisioning == .statelite else { return "initrd-stateless.gz" }
    let isSUSE = ["sles", "suse"].contains { definition.osVersion.hasPrefix($0) }
    return definition.rootFileSystem == "ramdisk" && !isSUSE
      ? "initrd-stateless.gz" : "initrd-statelite.gz"
  }

  /// Returns the directory of an image's copies.
  public static func directory(of image: String, in tftpDirectory: AbsolutePath) -> AbsolutePath {
    tftpDirectory.appending(subdirectory(of: image))
  }

  /// Returns the directory below the TFTP directory, as in the table bootparams.
  static func subdirectory(of image: String) -> String { "xcat/osimage/\(image)" }
}

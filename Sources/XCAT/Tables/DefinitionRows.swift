// The columns of osimage and linuximage that code reads, each named once. The rows themselves stay
// dictionaries: tables, manifests and snapshots keep columns that imgstore does not know.

/// Holds the rows of a definition: those of an image, or those of a bundle's manifest.
public protocol DefinitionRows {
  /// The set columns of the row in osimage.
  var osimage: [String: String] { get set }
  /// The set columns of the row in linuximage.
  var linuximage: [String: String] { get set }
}

extension DefinitionRows {
  /// Returns the value of a column of either table; empty if it is unset.
  public func value(of column: String) -> String { osimage[column] ?? linuximage[column] ?? "" }

  /// Returns the items of a column with a comma list.
  public func items(of column: String) -> [Substring] { value(of: column).split(separator: ",") }

  // MARK: osimage

  /// The columns that every definition of an osimage has.
  public static var requiredColumns: [String] { ["provmethod", "profile", "osvers", "osarch"] }

  public var provisioning: ProvisioningMethod { ProvisioningMethod(osimage["provmethod"] ?? "") }
  public var profile: String { osimage["profile"] ?? "" }
  public var osVersion: String { osimage["osvers"] ?? "" }
  public var architecture: String { osimage["osarch"] ?? "" }
  /// The operating system's family, such as "linux" or "AIX".
  public var osName: String { osimage["osname"] ?? "" }
  /// The type of the image, such as "linux" or "NIM".
  public var imageType: String { osimage["imagetype"] ?? "" }
  /// The root file system of a statelite image: "nfs" or "ramdisk"; nil if it is unset.
  public var rootFileSystem: String? { osimage["rootfstype"] }
  /// The groups whose litefile rows the image has, as a comma list.
  public var groups: String { osimage["groups"] ?? "" }
  /// The environment of scripts and lists: "NAME=VALUE".
  public var environmentItems: [Substring] { (osimage["environvar"] ?? "").split(separator: ",") }
  /// The names of the image's kit components.
  public var kitComponentNames: [String] {
    (osimage["kitcomponents"] ?? "").split(separator: ",").map(String.init)
  }

  // MARK: linuximage

  /// The directory of boot files and root tree; nil if the profile determines it.
  public var rootImageDirectory: String? { linuximage["rootimgdir"] }
  /// The install template; nil if xCAT searches for it.
  public var template: String? { linuximage["template"] }
  /// The row of the table boottarget; nil if there is none.
  public var bootTarget: String? { linuximage["boottarget"] }
  /// The directories of the distribution's packages.
  public var packageDirectories: [Substring] { (linuximage["pkgdir"] ?? "").split(separator: ",") }
  /// The directories and addresses of other packages; nil if the column is unset.
  public var otherPackageDirectories: [Substring]? {
    linuximage["otherpkgdir"].map { $0.split(separator: ",") }
  }

  // MARK: Changes

  /// Gives the rows the key of another image.
  public mutating func setImageName(_ name: String) {
    osimage["imagename"] = name
    linuximage["imagename"] = name
  }

  public mutating func setProfile(_ profile: String) { osimage["profile"] = profile }

  public mutating func setRootImageDirectory(_ path: String) { linuximage["rootimgdir"] = path }
}

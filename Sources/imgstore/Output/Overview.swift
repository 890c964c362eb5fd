// The text of `imgstore` without arguments: the everyday commands, on one screen of 24 lines and 80 columns.

import Images

/// The overview of everyday commands.
enum Overview {
  static let text = """
    imgstore saves every state of your node images, compares and restores them.

      imgstore images                     list images
      imgstore add NAME DIR               turn a directory into an image
      imgstore snapshot IMAGE -m TEXT     take a snapshot of an image
      imgstore status IMAGE               compare it with its latest snapshot
      imgstore log IMAGE                  list its snapshots
      imgstore diff REF [REF] [-- PATH]   show changes; also --packages
      imgstore ls|cat|grep REF:PATH       look inside a snapshot
      imgstore revert REF                 restore the live image to a snapshot
      imgstore revert REF:PATH            … or only a file or directory
      imgstore undo IMAGE                 undo the last revert or import
      imgstore tag REF NAME               name a snapshot: IMAGE@NAME
      imgstore export REF                 write one file for another site
      imgstore import FILE                … and read it there
      imgstore pack IMAGE                 pack the file that nodes download
      imgstore verify                     check that every snapshot is restorable

    REF is IMAGE (the latest), IMAGE@12, IMAGE@~1, IMAGE@NAME or IMAGE@yesterday.

    'imgstore help COMMAND' explains a command, 'imgstore help --all' lists all.
    """
}

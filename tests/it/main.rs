mod init_legacy;

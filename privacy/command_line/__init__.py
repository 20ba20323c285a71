"""What the commands of holder, coordinator and researcher share."""

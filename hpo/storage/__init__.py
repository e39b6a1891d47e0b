"""The database that workers share: how it is opened, what tables it has, what happens while it is away."""

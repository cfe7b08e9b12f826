"""Where usage and support facts come from: HTTP, SQL, pushed and static sources, asked side by side."""
